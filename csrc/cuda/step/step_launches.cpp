// Lays out lists of arrays for the kernels of a training step, and launches them.
#include "cuda/step/step_launches.h"

#include <algorithm>

#define CAVS_INLINE inline
#include "runtime/optimizer_rates.h"

namespace cavs::cuda {
namespace {

constexpr int kTile = 1024;     // elements; four of a thread
constexpr int kSumTile = 4096;  // of sums, where there are not too many

template <class Item>
unsigned blocks_of(const Library& library, const TileList<Item>& list) {
  return blocks_for(library, list.count == 0 ? 0 : list.ends[list.count - 1], 1);
}

template <class T, class Item>
std::vector<Item> items_of(const std::vector<Elements<T>>& arrays) {
  std::vector<Item> items;
  items.reserve(arrays.size());
  for (const Elements<T>& x : arrays) items.push_back({const_cast<T*>(x.data), x.n});
  return items;
}

// Elements of a tile, so that no list of these arrays has more than kMostParts tiles.
template <class T>
int sum_tile(const std::vector<Elements<T>>& arrays) {
  int64_t total = 0;
  for (const Elements<T>& x : arrays) total += x.n;
  const int64_t least = (total + kMostParts - kMostItems - 1) / (kMostParts - kMostItems);
  return static_cast<int>(std::max<int64_t>(kSumTile, (least + kTile - 1) / kTile * kTile));
}

// Calls body(name of the optimiser, its rates).
template <class T, class Body>
void with_rates(const OptimizerSettings& settings, int64_t step, const Body& body) {
  if (const auto* sgd = std::get_if<SgdSettings>(&settings)) {
    body("sgd", rates_of<T>(*sgd));
  } else if (const auto* adagrad = std::get_if<AdagradSettings>(&settings)) {
    body("adagrad", rates_of<T>(*adagrad));
  } else if (const auto* rmsprop = std::get_if<RmspropSettings>(&settings)) {
    body("rmsprop", rates_of<T>(*rmsprop));
  } else {
    body("adam", rates_of<T>(std::get<AdamSettings>(settings), step));
  }
}

template <class T>
UpdateItem<T> item_of(const OptimizerSettings& settings, const DenseUpdate<T>& u) {
  UpdateItem<T> item{u.param, u.grad, u.first, u.second, u.third, u.n};
  if (const auto* rmsprop = std::get_if<RmspropSettings>(&settings)) {
    const bool has_momentum = rmsprop->momentum != 0;
    item.second = has_momentum ? u.second : nullptr;
    item.third = !rmsprop->centered ? nullptr : has_momentum ? u.third : u.second;
  }
  return item;
}

}  // namespace

template <class T>
void StepLaunches<T>::sum(const std::vector<Elements<T>>& arrays, bool squares, Total total,
                          double number, StepMemory* memory) const {
  using Item = ArrayItem<const T>;
  in_lists(items_of<T, Item>(arrays), sum_tile(arrays),
           [&](const TileList<Item>& list, size_t first, bool last) {
             SumCall<T> call;
             call.list = list;
             call.squares = squares ? 1 : 0;
             call.goes_on = first > 0 ? 1 : 0;
             call.total = last ? total : Total::kNothing;
             call.number = number;
             call.memory = memory;
             launch(library, stream, "arrays", "sum_arrays", blocks_of(library, list), call);
           });
}

template <class T>
void StepLaunches<T>::scale(const std::vector<Elements<T>>& arrays, double factor,
                            const double* device_factor, const int* go_on) const {
  using Item = ArrayItem<T>;
  in_lists(items_of<T, Item>(arrays), kTile, [&](const TileList<Item>& list, size_t, bool) {
    const ScaleCall<T> call{list, factor, device_factor, go_on};
    launch(library, stream, "arrays", "scale_arrays", blocks_of(library, list), call);
  });
}

template <class T>
void StepLaunches<T>::greatest(const std::vector<Elements<T>>& arrays, T* out) const {
  using Item = ArrayItem<const T>;
  stream.clear(reinterpret_cast<Address>(out), arrays.size() * sizeof(T));
  in_lists(items_of<T, Item>(arrays), kTile, [&](const TileList<Item>& list, size_t first, bool) {
    const GreatestCall<T> call{list, out + first};
    launch(library, stream, "arrays", "greatest_of_arrays", blocks_of(library, list), call);
  });
}

template <class T>
void StepLaunches<T>::update(const OptimizerSettings& settings,
                             const std::vector<DenseUpdate<T>>& updates, const int* go_on) const {
  // Only Adam's rates depend on the number of the step.
  const bool counts = std::holds_alternative<AdamSettings>(settings);
  std::map<int64_t, std::vector<UpdateItem<T>>> of_step;
  for (const DenseUpdate<T>& u : updates) {
    of_step[counts ? u.step : 1].push_back(item_of(settings, u));
  }
  for (const auto& [step, items] : of_step) {
    with_rates<T>(settings, step, [&, &items = items](const char* name, const auto& rates) {
      using Rates = std::decay_t<decltype(rates)>;
      const std::string kernel = std::string("update_") + name;
      in_lists(items, kTile, [&](const TileList<UpdateItem<T>>& list, size_t, bool) {
        const UpdateCall<T, Rates> call{list, rates, go_on};
        launch(library, stream, "optimizers", kernel.c_str(), blocks_of(library, list), call);
      });
    });
  }
}

template <class T>
void StepLaunches<T>::update_rows(OptimizerSettings settings, const DenseUpdate<T>& update,
                                  const int32_t* ids, int64_t count, int64_t width,
                                  const int* go_on) const {
  if (count == 0 || width == 0) return;
  if (auto* adam = std::get_if<AdamSettings>(&settings)) adam->sparse = true;
  with_rates<T>(settings, update.step, [&](const char* name, const auto& rates) {
    using Rates = std::decay_t<decltype(rates)>;
    const Rows rows{0, static_cast<int>(count)};
    const Tiling tiling = tiling_of(static_cast<int>(width));
    const UpdateRowsCall<T, Rates> call{item_of(settings, update), ids, rows, tiling, rates, go_on};
    const std::string kernel = std::string("update_rows_") + name;
    launch(library, stream, "optimizers", kernel.c_str(), blocks_for(library, rows, tiling), call);
  });
}

template <class T>
void StepLaunches<T>::merge_rows(const RowsView<T>& a, const RowsView<T>& b, int64_t width,
                                 int32_t* ids, T* rows, int32_t* before) const {
  MergeCall<T> call;
  call.a_ids = a.ids;
  call.b_ids = b.ids;
  call.a = a.rows;
  call.b = b.rows;
  call.a_count = static_cast<int>(a.count);
  call.b_count = static_cast<int>(b.count);
  call.before = before;
  call.ids = ids;
  call.sum = rows;
  set_rows(&call, a.count + b.count, width);
  launch(library, stream, "row_sparse", "count_common", 1, call);
  if (a.count + b.count == 0) return;
  launch(library, stream, "row_sparse", "merge_rows", blocks_for(library, call.rows, call.tiling),
         call);
}

template struct StepLaunches<float>;
template struct StepLaunches<double>;

}  // namespace cavs::cuda
