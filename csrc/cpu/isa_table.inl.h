// Defines the table of one instruction set; the including file names the function CAVS_ISA_TABLE.
#pragma once

#include "cpu/groups/elementwise.inl.h"
#include "cpu/isa_table.h"
#include "cpu/kernels/lines.inl.h"
#include "cpu/kernels/log_space.inl.h"
#include "cpu/kernels/losses.inl.h"
#include "cpu/kernels/optimizers.inl.h"
#include "cpu/kernels/packed_product.inl.h"
#include "cpu/kernels/pairwise.inl.h"
#include "cpu/kernels/pooling.inl.h"
#include "cpu/kernels/random.inl.h"
#include "cpu/kernels/reductions.inl.h"
#include "cpu/kernels/row_ops.inl.h"
#include "cpu/kernels/shape_ops.inl.h"
#include "cpu/kernels/small_product.inl.h"

namespace cavs {
namespace {

#define CAVS_KERNEL(name) {#name, name<float>, name<double>}
constexpr KernelEntry kKernels[] = {
    CAVS_KERNEL(argsort),
    CAVS_KERNEL(avg_pool),
    CAVS_KERNEL(avg_unpool),
    CAVS_KERNEL(broadcast),
    CAVS_KERNEL(child_columns),
    CAVS_KERNEL(child_columns_grad),
    CAVS_KERNEL(copy),
    CAVS_KERNEL(copy_columns),
    CAVS_KERNEL(cross_entropy),
    CAVS_KERNEL(cross_entropy_grad),
    CAVS_KERNEL(cumsum),
    CAVS_KERNEL(dropout),
    CAVS_KERNEL(dropout_by_id),
    CAVS_KERNEL(embedding),
    CAVS_KERNEL(fill),
    CAVS_KERNEL(fused),
    CAVS_KERNEL(load),
    CAVS_KERNEL(log_softmax),
    CAVS_KERNEL(logsumexp),
    CAVS_KERNEL(logsumexp_grad),
    CAVS_KERNEL(num_children),
    CAVS_KERNEL(one_hot_max),
    CAVS_KERNEL(permute),
    CAVS_KERNEL(pick_elements),
    CAVS_KERNEL(present),
    CAVS_KERNEL(max_pool),
    CAVS_KERNEL(max_pool_grad),
    CAVS_KERNEL(max_pool_tangent),
    CAVS_KERNEL(max_rows),
    CAVS_KERNEL(put_elements),
    CAVS_KERNEL(reduce_rows),
    CAVS_KERNEL(row_max),
    CAVS_KERNEL(row_sum),
    CAVS_KERNEL(segment_log_softmax),
    CAVS_KERNEL(segment_logsumexp),
    CAVS_KERNEL(segment_max),
    CAVS_KERNEL(segment_softmax),
    CAVS_KERNEL(segment_sum),
    CAVS_KERNEL(slots_to_edges),
    CAVS_KERNEL(softmax),
    CAVS_KERNEL(store),
    CAVS_KERNEL(sum_to),
    CAVS_KERNEL(take),
    CAVS_KERNEL(uniform),
    CAVS_KERNEL(unique_ids),
};
#undef CAVS_KERNEL

template <class T>
constexpr IsaFunctions<T> kFunctions = {
    sgd_loop<T>,     adagrad_loop<T>,      adam_loop<T>,    rmsprop_loop<T>,
    sum_loop<T>,     sum_squares_loop<T>,  scale_loop<T>,   add_scaled_loop<T>,
    max_abs_loop<T>, max_abs_rows_loop<T>, has_nan_loop<T>, small_product<T>,
    pack_weight<T>,  packed_product<T>,    pairwise_sum<T>, pairwise_curve<T>,
};

constexpr IsaTable kTable = {kKernels,
                             sizeof(kKernels) / sizeof(kKernels[0]),
                             kFunctions<float>,
                             kFunctions<double>,
                             kTileVectors * kVectorBytes,
                             far_sines};

}  // namespace

const IsaTable& CAVS_ISA_TABLE() { return kTable; }

}  // namespace cavs
