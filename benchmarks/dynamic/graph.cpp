#include "dynamic/graph.h"

#include "base/error.h"

namespace cavs::dynamic {
namespace {

Key key_of(int64_t a, int64_t b, int64_t c, int64_t d) {
  const auto word = [](int64_t x) { return static_cast<uint64_t>(static_cast<uint32_t>(x)); };
  return {word(a) << 32 | word(b), word(c) << 32 | word(d)};
}

}  // namespace

void Graph::clear() {
  nodes_.clear();
  args_.clear();
  inputs_.clear();
  first_arg_ = 0;
}

const Node& Graph::checked(int32_t x) const {
  CAVS_CHECK(x >= 0 && x < size(), ErrorKind::kValue, "[dynamic] expected an expression from 0 to ",
             size() - 1, ", got ", x, "; expressions end with their graph");
  return node(x);
}

int32_t Graph::push(Op op, int64_t rows, int64_t columns, int32_t weights, int32_t data) {
  const auto first = static_cast<int32_t>(first_arg_);
  const auto count = static_cast<int32_t>(args_.size() - first_arg_);
  nodes_.push_back(
      {op, static_cast<int32_t>(rows), static_cast<int32_t>(columns), first, count, weights, data});
  first_arg_ = args_.size();
  return size() - 1;
}

int32_t Graph::input(const float* values, int64_t size, int32_t columns) {
  CAVS_CHECK(columns > 0 && size % columns == 0, ErrorKind::kShape,
             "[dynamic] input: expected columns that divide ", size, ", got ", columns,
             "; check the sizes");
  const auto begin = static_cast<int32_t>(inputs_.size());
  inputs_.insert(inputs_.end(), values, values + size);
  return push(Op::kInput, size / columns, columns, -1, begin);
}

int32_t Graph::parameter(int32_t number) {
  const Parameter& p = parameters_->at(number);
  CAVS_CHECK(!p.is_lookup && p.columns == 1, ErrorKind::kShape,
             "[dynamic] parameter: expected a dense vector, got ", p.name,
             "; matrices go into affine()");
  return push(Op::kParameter, p.rows, 1, number, 0);
}

int32_t Graph::lookup(int32_t table, int32_t id, int32_t columns) {
  const Parameter& p = parameters_->at(table);
  CAVS_CHECK(p.is_lookup && id >= 0 && id < p.rows, ErrorKind::kValue,
             "[dynamic] lookup: expected a table and an id below ", p.rows, ", got ", p.name,
             " and ", id, "; check the ids");
  CAVS_CHECK(columns > 0 && p.columns % columns == 0, ErrorKind::kShape,
             "[dynamic] lookup: expected columns that divide ", p.columns, ", got ", columns,
             "; rows hold whole matrices");
  return push(Op::kLookup, p.columns / columns, columns, table, id);
}

int32_t Graph::affine(int32_t bias, int32_t w, int32_t x, int32_t u, int32_t h) {
  const Parameter& first = parameters_->at(w);
  const Node x_node = checked(x);
  CAVS_CHECK(!first.is_lookup && first.columns == x_node.rows, ErrorKind::kShape,
             "[dynamic] affine: expected ", first.columns, " rows as ", first.name,
             " has columns, got ", x_node.rows, "; check the sizes");
  if (bias >= 0) {
    const Parameter& b = parameters_->at(bias);
    CAVS_CHECK(!b.is_lookup && b.size() == first.rows, ErrorKind::kShape,
               "[dynamic] affine: expected a bias of ", first.rows, ", got ", b.name, " of ",
               b.size(), "; check the sizes");
  }
  if (u >= 0) {
    const Parameter& second = parameters_->at(u);
    const Node& h_node = checked(h);
    CAVS_CHECK(!second.is_lookup && second.columns == h_node.rows && second.rows == first.rows &&
                   h_node.columns == x_node.columns,
               ErrorKind::kShape, "[dynamic] affine: expected ", second.name,
               " and its argument to fit ", first.name, ", got ", second.rows, " x ",
               second.columns, " and ", h_node.rows, " rows; check the sizes");
  }
  args_.push_back(x);
  if (u >= 0) args_.push_back(h);
  const int32_t number = affine_numbers_.number_of(key_of(w, u, bias, 0));
  if (number == static_cast<int32_t>(affines_.size())) affines_.push_back({{w, u}, bias});
  return push(Op::kAffine, first.rows, x_node.columns, number, 0);
}

int32_t Graph::unary(Op op, int32_t x) {
  const Node node = checked(x);
  args_.push_back(x);
  return push(op, node.rows, node.columns, -1, 0);
}

int32_t Graph::binary(Op op, int32_t a, int32_t b) {
  const Node& first = checked(a);
  const Node& second = checked(b);
  CAVS_CHECK(first.rows == second.rows && first.columns == second.columns, ErrorKind::kShape,
             "[dynamic] expected arguments of one shape, got ", first.rows, " x ", first.columns,
             " and ", second.rows, " x ", second.columns, "; check the sizes");
  const int32_t rows = first.rows, columns = first.columns;
  args_.push_back(a);
  args_.push_back(b);
  return push(op, rows, columns, -1, 0);
}

int32_t Graph::pick_range(int32_t x, int32_t begin, int32_t end) {
  const Node& node = checked(x);
  CAVS_CHECK(node.columns == 1 && begin >= 0 && begin < end && end <= node.rows, ErrorKind::kShape,
             "[dynamic] pick_range: expected rows within a vector of ", node.rows, ", got ", begin,
             " to ", end, " of ", node.columns, " columns; check the range");
  args_.push_back(x);
  return push(Op::kPickRange, end - begin, 1, -1, begin);
}

int32_t Graph::matvec(int32_t matrix, int32_t x) {
  const Node& a = checked(matrix);
  const Node& vector = checked(x);
  CAVS_CHECK(vector.columns == 1 && a.columns == vector.rows, ErrorKind::kShape,
             "[dynamic] matvec: expected a vector of ", a.columns, " rows, got ", vector.rows,
             " x ", vector.columns, "; check the sizes");
  const int32_t rows = a.rows;
  args_.push_back(matrix);
  args_.push_back(x);
  return push(Op::kMatVec, rows, 1, -1, 0);
}

int32_t Graph::pick_neg_log_softmax(int32_t x, int32_t label) {
  const Node& node = checked(x);
  CAVS_CHECK(node.columns == 1 && label >= 0 && label < node.rows, ErrorKind::kValue,
             "[dynamic] pick_neg_log_softmax: expected a label below ", node.rows, ", got ", label,
             "; check the labels");
  args_.push_back(x);
  return push(Op::kPickNegLogSoftmax, 1, 1, -1, label);
}

int32_t Graph::sum(const std::vector<int32_t>& x) {
  CAVS_CHECK(!x.empty(), ErrorKind::kValue,
             "[dynamic] sum: expected one argument or more, got none; leave it out");
  const Node first = checked(x[0]);
  for (const int32_t arg : x) {
    const Node& other = checked(arg);
    CAVS_CHECK(other.rows == first.rows && other.columns == first.columns, ErrorKind::kShape,
               "[dynamic] sum: expected arguments of ", first.rows, " x ", first.columns, ", got ",
               other.rows, " x ", other.columns, "; check the sizes");
  }
  args_.insert(args_.end(), x.begin(), x.end());
  return push(Op::kSum, first.rows, first.columns, -1, 0);
}

int32_t Graph::concat(const std::vector<int32_t>& x) {
  CAVS_CHECK(!x.empty(), ErrorKind::kValue,
             "[dynamic] concat: expected one argument or more, got none; leave it out");
  const int32_t columns = checked(x[0]).columns;
  int64_t rows = 0;
  for (const int32_t arg : x) {
    const Node& part = checked(arg);
    CAVS_CHECK(part.columns == columns, ErrorKind::kShape, "[dynamic] concat: expected parts of ",
               columns, " columns, got ", part.columns, "; check the sizes");
    rows += part.rows;
  }
  args_.insert(args_.end(), x.begin(), x.end());
  return push(Op::kConcat, rows, columns, -1, 0);
}

int32_t Graph::signature(const Node& node) {
  int64_t detail = 0;
  switch (node.op) {
    case Op::kPickRange:
      detail = shapes_.number_of(key_of(this->node(args(node)[0]).rows, node.data, 0, 0));
      break;
    case Op::kMatVec:
    case Op::kPickNegLogSoftmax:
      detail = this->node(args(node)[0]).size();
      break;
    case Op::kSum:
      detail = node.num_args;
      break;
    case Op::kConcat:
      for (int32_t i = 0; i < node.num_args; ++i) {
        detail = shapes_.number_of(key_of(-1, detail, this->node(args(node)[i]).rows, i));
      }
      break;
    default:
      detail = node.weights;
  }
  const int64_t op = static_cast<int64_t>(node.op);
  return signatures_.number_of(key_of(op, detail, node.rows, node.columns));
}

}  // namespace cavs::dynamic
