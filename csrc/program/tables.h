// The rows between which each kind of table leads.
#pragma once

#include "program/program.h"

namespace cavs {

// Whether a table leads from rows `from` to rows `to`. For an operand without rows `to` does not
// matter. A table of distinct ids must name a unique of the program.
bool table_fits(const Program& program, const TableSpec& table, const Space& from, const Space& to,
                bool has_rows);

}  // namespace cavs
