// A computation graph as it is declared: nodes in flat arrays that the next graph uses again.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "dynamic/parameters.h"
#include "dynamic/signatures.h"

namespace cavs::dynamic {

enum class Op : uint8_t {
  kInput,      // given values
  kParameter,  // a parameter's values
  kLookup,     // row `data` of a lookup table
  kAffine,     // W x + b, W x + U h + b
  kTanh,
  kLogistic,
  kExp,
  kOneMinus,  // 1 - x
  kSum,       // of one or more
  kSubtract,
  kMultiply,           // by elements
  kDivide,             // by elements
  kConcat,             // of rows
  kPickRange,          // rows from `data` on
  kMatVec,             // matrix node times vector node
  kPickNegLogSoftmax,  // -log softmax(x)[data]
};

// The value is a matrix, column after column, as in DyNet; a vector has one column.
struct Node {
  Op op;
  int32_t rows, columns;
  int32_t first_arg, num_args;  // in Graph::args()
  int32_t weights;              // kAffine: in Graph::affine(); kParameter, kLookup: parameter
  int32_t data;                 // see Op; kInput: where its values begin

  int64_t size() const { return int64_t{rows} * columns; }
};

struct Affine {
  int32_t w[2];  // parameters; the second may be -1
  int32_t bias;  // or -1
};

// Nodes are numbered in the order of their declaration, so arguments stand before those that use
// them. Nothing is computed here. Wrong arguments are an Error(kShape) or Error(kValue).
class Graph {
 public:
  explicit Graph(Parameters* parameters) : parameters_(parameters) {}

  void clear();
  int32_t input(const float* values, int64_t size, int32_t columns);
  int32_t parameter(int32_t number);
  int32_t lookup(int32_t table, int32_t id, int32_t columns);
  int32_t affine(int32_t bias, int32_t w, int32_t x, int32_t u, int32_t h);  // -1 for none
  int32_t unary(Op op, int32_t x);
  int32_t binary(Op op, int32_t a, int32_t b);
  int32_t pick_range(int32_t x, int32_t begin, int32_t end);
  int32_t matvec(int32_t matrix, int32_t x);
  int32_t pick_neg_log_softmax(int32_t x, int32_t label);
  int32_t sum(const std::vector<int32_t>& x);
  int32_t concat(const std::vector<int32_t>& x);

  int32_t size() const { return static_cast<int32_t>(nodes_.size()); }
  const Node& node(int32_t number) const { return nodes_[static_cast<size_t>(number)]; }
  const int32_t* args(const Node& node) const { return args_.data() + node.first_arg; }
  int64_t num_args() const { return static_cast<int64_t>(args_.size()); }
  const Affine& affine(const Node& node) const {
    return affines_[static_cast<size_t>(node.weights)];
  }
  const float* input_values(const Node& node) const { return inputs_.data() + node.data; }
  // What nodes of one batch have in common: operation, shapes and parameters.
  int32_t signature(const Node& node);
  int32_t num_signatures() const { return signatures_.count(); }
  Parameters& parameters() { return *parameters_; }

 private:
  const Node& checked(int32_t x) const;
  // Adds a node; what stands in args_ since the node before are its arguments.
  int32_t push(Op op, int64_t rows, int64_t columns, int32_t weights, int32_t data);

  Parameters* parameters_;
  std::vector<Node> nodes_;
  std::vector<int32_t> args_;
  size_t first_arg_ = 0;  // of the node to be added next
  std::vector<float> inputs_;
  std::vector<Affine> affines_;
  Interner affine_numbers_, shapes_, signatures_;
};

}  // namespace cavs::dynamic
