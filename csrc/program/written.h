// Which columns and rows of values are written, and by which instruction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include "program/access.h"
#include "program/program.h"

namespace cavs {

// Knows leaves from inner vertices, and types, because one value may hold the rows of all of them;
// any other rows are written together. To be made of a program whose instructions name values that
// there are.
class WrittenValues {
 public:
  WrittenValues(const Program& program, const std::vector<Root>& roots);

  // Whether all that an instruction reads of its input is written when a thread comes to it. Of a
  // value that the program does not write itself: false.
  bool before(int segment, int instruction, size_t input) const;
  // Whether the program writes all that another program's instruction reads of its input.
  bool covers(const Program& reader, const Instruction& instruction, size_t input) const;
  // Whether the program writes all columns of all rows of a value.
  bool whole(int id) const;

 private:
  struct Write {
    int segment, instruction;
    int64_t begin, end;  // columns
    std::set<int> rows;  // see rows_of
    bool scattered;      // row r writes another row
  };
  struct Columns {
    int owner;
    int64_t begin, end;
    std::set<int> rows;
  };

  void note_writes(int segment, int number);
  Columns columns_of(const Program& program, int id) const;
  Columns columns_read(const Program& reader, const Instruction& instruction, size_t input) const;
  template <class Counts>
  bool covered(const Columns& read, const Counts& counts) const;

  const Program& program_;
  const std::vector<Root>& roots_;
  std::vector<int> owners_;                 // [value] the value that stands for its memory
  std::vector<std::vector<Write>> writes_;  // [owner]
};

}  // namespace cavs
