// Programs that are refused, each by one change of one that works.
#include "base/error.h"
#include "check.h"
#include "tree_program.h"

using namespace cavs;
using namespace cavs_test;

namespace {

// Such a change of a program that works makes one that is refused.
template <class Change>
void refused(Change change, const std::string& text) {
  Program program = forward_program();
  change(program);
  std::string message = "nothing was thrown";
  try {
    make_executable(program, nullptr);
  } catch (const Error& error) {
    message = error.what();
  }
  const bool found = message.find(text) != std::string::npos;
  if (!found) report(__FILE__, __LINE__, "expected " + text + ", got " + message);
}

Instruction& call(Program& p, int s, int i) { return p.segments[s].instructions[i]; }

MatmulAttributes& matmul(Program& p) {
  return std::get<MatmulAttributes>(call(p, 0, 2).attributes);
}

Group& group(Program& p) { return std::get<Group>(call(p, 1, 3).attributes); }

void test_kernels_and_attributes() {
  CHECK_THROWS(kernel_named("no such kernel"), Error, "no such kernel");
  refused([](Program& p) { call(p, 0, 1).inputs[0] = 99; }, "expected a value of 0..14");
  refused([](Program& p) { std::get<EmbeddingAttributes>(call(p, 0, 1).attributes).count = 51; },
          "in 'embedding'");
  refused([](Program& p) { matmul(p).n = 19; }, "in 'matmul'");
  refused([](Program& p) { call(p, 0, 2).attributes = AxisAttributes{}; }, "own attributes");
  refused([](Program& p) { call(p, 0, 2).inputs.push_back(kX); }, "2 inputs and one output");
}

void test_masks() {
  const auto masked = [](Program& p, int mask, bool by_id) {
    Instruction& product = call(p, 0, 2);
    product.kernel = kernel_named("matmul_masked");
    product.inputs.push_back(mask);
    product.attributes = MaskedMatmulAttributes{matmul(p), by_id};
  };
  {
    Program p = forward_program();
    masked(p, kIds, true);
    make_executable(p, nullptr);
  }
  refused([&](Program& p) { masked(p, kIds, false); }, "one int32 per row");
  refused([&](Program& p) { masked(p, kX, false); }, "a mask of one element");
  refused([&](Program& p) { masked(p, kX, true); }, "one int32 per row");
  refused([](Program& p) { call(p, 0, 2).kernel = kernel_named("matmul_masked"); },
          "own attributes");
  refused([&](Program& p) { masked(p, kIds, true), call(p, 0, 2).inputs.push_back(kIds); },
          "3 inputs and one output");
}

void test_groups() {
  refused([](Program& p) { group(p).width = 9; }, "in 'fused'");
  refused([](Program& p) { group(p).calls[0].op = 999; }, "known operations");
  refused([](Program& p) { group(p).calls[0].arguments[0] = 2; }, "earlier calls");
  refused([](Program& p) { group(p).calls[1].arguments[1] = 0; }, "as the operation takes");
  refused([](Program& p) { group(p).outputs = {0}; }, "outputs that calls make");
  refused([](Program& p) { group(p).outputs.clear(); }, "one output or more");
  refused([](Program& p) { group(p).inputs.pop_back(); }, "earlier calls");
  refused([](Program& p) { group(p).inputs[0].read = Read::kRow; }, "as their tables say");
  refused([](Program& p) { group(p).inputs[0].narrow = true; }, "or of size 1");
}

void test_tables_and_rows() {
  refused([](Program& p) { call(p, 1, 0).tables[0] = {}; }, "expected a table from 'edge'");
  refused([](Program& p) { call(p, 1, 0).tables[0] = {TableKind::kUnique, 5}; }, "a unique");
  refused([](Program& p) { call(p, 1, 1).tables = {{TableKind::kSiblings, 0}}; }, "no 'siblings'");
  refused([](Program& p) { call(p, 1, 0).tables = {{TableKind::kSlot, -65536}}; },
          "-65535..65535, got -65536");
  refused([](Program& p) { call(p, 1, 0).tables = {{TableKind::kSlot, 1 << 16}}; }, "got 65536");
  refused([](Program& p) { call(p, 1, 1).kernel = kernel_named("segment_softmax"); },
          "in 'segment_softmax'");
  refused([](Program& p) { p.values[kH].space = {SpaceKind::kInner, -1}; },
          "expected a table from 'edge' to 'inner'");
  refused([](Program& p) { call(p, 1, 2).outputs[0] = kU; }, "to write a value");
  refused([](Program& p) { call(p, 1, 2).outputs[0] = kProduct; }, "to write rows of 'vertex'");
  refused([](Program& p) { call(p, 1, 2).space = {SpaceKind::kGraph, -1}; }, "rows of its segment");
  refused([](Program& p) { std::swap(p.segments[0], p.segments[1]); }, "to be written before");
  refused([](Program& p) { p.segments[1].kind = SegmentKind::kRows; }, "to be written before");
}

void test_declarations() {
  refused([](Program& p) { p.segments[1].kind = SegmentKind::kGlobal; }, "got a global one");
  refused([](Program& p) { p.values[kSum].column = 3; }, "within the 20");
  refused([](Program& p) { p.values[kAll].role = Role::kView, p.values[kAll].base = kAll; },
          "owns memory");
  refused([](Program& p) { p.values[kH].size = 0; }, "elements in a row of 'h'");
  refused([](Program& p) { p.values[kU].space = {SpaceKind::kVertex, -1}; }, "space 'none'");
  refused([](Program& p) { p.saved = {-1}; }, "list of saved values");
  refused([](Program& p) { p.device = {DeviceKind::kCuda, 0}; }, "[cuda] expected ");
}

void test_uniques() {
  refused([](Program& p) { p.uniques[0].inputs = {-1}; }, "to be an input");
  refused([](Program& p) { p.uniques[0].inputs = {}; }, "got 0 inputs");
  refused([](Program& p) { p.uniques[0].inputs = {0, 1}, p.uniques[0].rows = 9; }, "got 2 inputs");
  const Space words{SpaceKind::kUnique, 0}, vertices{SpaceKind::kVertex, -1};
  const auto with = [](UniqueSpec more) { return [=](Program& p) { p.uniques.push_back(more); }; };
  refused(with({"x", {}, words, 0, 1}), "counted before in unique 'x', got numbers 1 and 0");
  refused(with({"x", {}, vertices, 0, 0}), "got numbers 0 and -1");
  refused(with({"x", {}, words, 8, 0}), "among the same rows");
  refused(with({"x", {0}, words, 0, -1, {-1}}), "over vertices, edges or graphs");
  refused(
      [&](Program& p) {
        p.uniques.push_back({"x", {}, words, 0, 0});
        p.values[kX].space.unique = 1;
      },
      "as the space of 'x', got number 1");
}

void test_backward_programs() {
  const auto forward = make_executable(forward_program(), nullptr);
  Program backward = backward_program(forward->program);
  backward.segments[1].instructions[1].inputs[2] = kXw;
  backward.segments[1].instructions[1].tables[2] = {TableKind::kUnique, 0};
  CHECK_THROWS(make_executable(backward, forward), Error, "saved values");
  backward = backward_program(forward->program);
  Instruction& sum = backward.segments.back().instructions[0];
  sum.inputs = {sum.inputs[0], sum.inputs[1], sum.outputs[0], sum.outputs[0]};
  CHECK_THROWS(make_executable(backward, forward), Error, "inputs and one output");
  sum.inputs = {sum.inputs[0], sum.inputs[1], kU};
  CHECK_THROWS(make_executable(backward, forward), Error, "inputs and one output");
  backward = backward_program(forward->program);
  backward.segments[1].instructions[0].tables[0] = {TableKind::kParentRows, 0};
  CHECK_THROWS(make_executable(backward, forward), Error, "a table from 'vertex' to 'edge'");
  backward.segments[1].instructions[0].inputs[0] = backward.segments[1].instructions[1].outputs[0];
  make_executable(backward, forward);
  backward.segments[1].instructions[0].tables[0].argument = 2;
  CHECK_THROWS(make_executable(backward, forward), Error, "expected 36 columns");
  backward = backward_program(forward->program);
  Instruction& by_id = backward.segments[4].instructions[1];
  by_id.tables = {{TableKind::kUniqueParents, 0}};
  CHECK_THROWS(make_executable(backward, forward), Error, "from 'unique:word' to 'vertex'");
}

}  // namespace

int main() {
  test_kernels_and_attributes();
  test_masks();
  test_groups();
  test_tables_and_rows();
  test_declarations();
  test_uniques();
  test_backward_programs();
  return cavs_test::result();
}
