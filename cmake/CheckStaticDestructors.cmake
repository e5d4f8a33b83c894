# Run as a test: cmake -DNM=... -DOBJECTS=... -P CheckStaticDestructors.cmake
#
# A static object with a destructor is destroyed when the process ends, in the reverse of the order in which such
# objects were made: while a daemon thread may still be in a native call that reads it. So the engine has none;
# what lives as long as the process is made by `new` and never given back.

set(found "")
foreach(object IN LISTS OBJECTS)
  execute_process(COMMAND "${NM}" "${object}" OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
  if(symbols MATCHES " U __cxa_atexit")
    string(APPEND found "  ${object}\n")
  endif()
endforeach()
if(found)
  message(FATAL_ERROR "static objects with destructors; make them by `new`:\n${found}")
endif()
