// Kernels that draw random numbers.
#include "cuda_kernel_cases.h"

using namespace cavs_test;

namespace {

Places some_places(int rows) {
  Places places;
  for (int g = 0; g < rows; ++g) {  // a graph for each row, where rows are graphs
    places.key.push_back(static_cast<int64_t>(generator()) << 32 | generator());
  }
  for (int r = 0; r < rows; ++r) {
    places.graph.push_back(pick(0, rows - 1));
    places.local.push_back(pick(0, 1000));
  }
  return places;
}

void pick_random(Case* c) {
  c->random.seed = static_cast<uint64_t>(generator()) << 32 | generator();
  c->random.step = static_cast<uint64_t>(generator()) << 32 | generator();
  c->random.training = perhaps(0.8);
}

double some_rate() {
  const double rates[] = {0, 1, 0.5, 0.1, 0.3, 0.999999};
  return rates[pick(0, 5)];
}

template <class T>
void test_random() {
  for (int round = 0; round < 6 * kRounds; ++round) {
    const int kind = pick(0, 2), width = some_width();
    const SampledRows of[] = {SampledRows::kVertex, SampledRows::kEdge, SampledRows::kGraph};
    const SpaceKind spaces[] = {SpaceKind::kVertex, SpaceKind::kEdge, SpaceKind::kGraph};
    Case c;
    c.space = spaces[kind];
    pick_rows(&c, 30);
    pick_random(&c);
    const int rows = std::max(1, c.end - c.begin);
    const Places places = some_places(30);
    c.out = Array::make(sizeof(T), width, some_ld(width), c.begin, rows);
    c.name = "uniform";
    UniformAttributes uniform;
    uniform.key = static_cast<uint32_t>(generator());
    uniform.rows = of[kind];
    c.attributes = uniform;
    check_case<T>(c, places);
    c.name = "dropout";
    DropoutAttributes dropout;
    static_cast<UniformAttributes&>(dropout) = uniform;
    dropout.rate = some_rate();
    c.attributes = dropout;
    c.in = {numbers<T>(width, c.begin, rows, perhaps(0.3))};
    check_case<T>(c, places);
    c.name = "dropout_by_id";
    const int ids = perhaps(0.7) ? pick(1, 4) : pick(5, 20);
    for (int i = 0; i < ids; ++i) c.in.push_back(integers(c.begin, rows, -1, 1 << 30));
    check_case<T>(c);
  }
}

// The number of a kept element may equal the rate, to the last of its 24 bits.
template <class T>
void test_rates_at_a_number() {
  for (int round = 0; round < kRounds; ++round) {
    const int width = pick(1, 40);
    Case c;
    c.end = 1;
    pick_random(&c);
    c.random.training = true;
    const Places places = some_places(1);
    c.name = "uniform";
    UniformAttributes uniform;
    c.attributes = uniform;
    c.out = Array::make(sizeof(T), width, width, 0, 1);
    Case drawn = c;
    drawn.random.graph_key = places.key.data();
    drawn.random.vertex_graph = places.graph.data();
    drawn.random.vertex_local = places.local.data();
    run_on_cpu(drawn, kDType<T>);
    c.name = "dropout";
    c.in = {numbers<T>(width, 0, 1)};
    for (const double beyond : {-0.5, 0.0, 0.5, 1.0}) {
      DropoutAttributes dropout;
      dropout.rate = std::max(0.0, *drawn.out.row<T>(0) + beyond * 0x1p-24);
      c.attributes = dropout;
      check_case<T>(c, places);
    }
  }
}

template <class T>
void test_all() {
  test_random<T>();
  test_rates_at_a_number<T>();
}

}  // namespace

int main() {
  test_all<float>();
  test_all<double>();
  return cavs_test::result();
}
