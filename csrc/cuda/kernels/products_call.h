// What the kernels of products and of sums over rows are given: laid out alike by the host and on
// the device.
#pragma once

#include "cuda/kernels/call.h"

namespace cavs::cuda {

// A factor of products of matrices: a matrix for each row, or one for all rows. The first factor
// has lines, the second columns: here both are lines, along which the terms of the sums stand.
struct Factor {
  const void* data = nullptr;
  const int* index = nullptr;  // the row whose matrix a row reads, -1 for none; null: its own
  int ld = 0;                  // elements from the matrix of a row to the next; 0: one for all
  int line = 0, term = 0;      // elements from a line to the next, and from a term to the next
  int wide = 0;  // whether four elements in a row of memory can be read at once, from each fourth
};

enum MaskKind { kNoMask = 0, kMaskOfIds = 1, kMaskOfNumbers = 2 };

// Y = X W for each row, Y being (lines, columns), X (lines, terms) and W (terms, columns). Rows
// that one of the factors or the mask leaves out give zeros.
struct Product {
  Factor x, w;
  const void* mask = nullptr;  // an id for each row, -1 to leave it out; or a number, 0 to do so
  int mask_ld = 0, mask_kind = kNoMask;
  int lines = 1, columns = 1, terms = 0;
  void* y = nullptr;
  int ld = 0, line = 0, column = 0;  // elements from a row of Y to the next, line, column
  int wide = 0;                      // whether four columns can be written at once
};

// How a sum over rows is split: part p sums `rows` rows from p * rows on. One part writes the
// result, several write `parts` results one after the other, which are then summed in order.
struct SumParts {
  int count = 1, rows = 0;
  int goes_on = 0;  // whether the one part adds to what the result holds
};

}  // namespace cavs::cuda
