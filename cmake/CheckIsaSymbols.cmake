# Run as a test: cmake -DNM=... -DOBJECTS=... -P CheckIsaSymbols.cmake
#
# A function that an isa_<name>.cpp does not keep to itself (an inline function of a header, a template of the
# standard library) is a weak symbol, and the linker may take that copy, compiled for a newer processor, for
# everyone: a crash on older machines that no test on a newer one sees. So there must be none.

set(found "")
foreach(object IN LISTS OBJECTS)
  if(object MATCHES "/isa_[a-z0-9]+\\.cpp\\.o$")
    execute_process(COMMAND "${NM}" --defined-only -C "${object}" OUTPUT_VARIABLE symbols
                    COMMAND_ERROR_IS_FATAL ANY)
    string(REGEX MATCHALL "[0-9a-f]+ W [^\n]+" weak "${symbols}")
    foreach(symbol IN LISTS weak)
      string(APPEND found "  ${object}: ${symbol}\n")
    endforeach()
  endif()
endforeach()
if(found)
  message(FATAL_ERROR "weak symbols in code for one instruction set; put them into an unnamed namespace, "
                      "or force them inline:\n${found}")
endif()
