// Between which rows each kind of table leads.
#pragma once

#include "program/program.h"

namespace cavs {

// Whether a table leads from rows `from` to rows `to`, which do not matter for an operand without
// rows. A table of distinct ids must name one of the program's.
bool table_fits(const Program& program, const TableSpec& table, const Space& from, const Space& to,
                bool has_rows);

}  // namespace cavs
