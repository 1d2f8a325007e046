#include "nash_swarm_c.h"

#include <cstddef>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/io/packed_model.hpp>
#include <nash_swarm/matmul.hpp>

struct nash_swarm_matrix {
  const nash_swarm::PackedMatrix* packed;
};

struct nash_swarm_model {
  explicit nash_swarm_model(const char* path) : file(path) {
    for (const nash_swarm::PackedMatrix& matrix : file.matrices()) matrices.push_back({&matrix});
  }
  nash_swarm::PackedModelFile file;
  std::vector<nash_swarm_matrix> matrices;
};

struct nash_swarm_threads {
  nash_swarm::ThreadPool pool;
};

namespace {

using nash_swarm::Error;

/// An Error that says which status it becomes.
class Refusal : public Error {
 public:
  Refusal(nash_swarm_status status, std::string subject, std::string problem, std::string remedy)
      : Error(std::move(subject), std::move(problem), std::move(remedy)), status_(status) {}
  nash_swarm_status status() const noexcept { return status_; }

 private:
  nash_swarm_status status_;
};

/// Of fixed size, so that a lack of memory can be told as well.
thread_local char last_message[1024] = "";

nash_swarm_status fail(nash_swarm_status status, const char* message) noexcept {
  std::snprintf(last_message, sizeof last_message, "%s", message);
  return status;
}

/// No exception leaves the library.
/// @param of_error what an Error of the body means
template <class Body>
nash_swarm_status guarded(nash_swarm_status of_error, const Body& body) noexcept {
  try {
    body();
    return NASH_SWARM_OK;
  } catch (const Refusal& refusal) {
    return fail(refusal.status(), refusal.what());
  } catch (const Error& error) {
    return fail(of_error, error.what());
  } catch (const std::bad_alloc&) {
    return fail(NASH_SWARM_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return fail(NASH_SWARM_FAILED, error.what());
  } catch (...) {
    return fail(NASH_SWARM_FAILED, "unknown failure");
  }
}

template <class... Pointers>
void refuse_null(const char* function, Pointers*... pointers) {
  const bool all_given = (... && static_cast<bool>(pointers));
  if (!all_given) {
    throw Refusal(NASH_SWARM_INVALID_ARGUMENT, function, "a null pointer", "");
  }
}

[[noreturn]] void refuse_unknown(const nash_swarm_model& model, const std::string& name) {
  throw Refusal(NASH_SWARM_NOT_FOUND, model.file.file().path().string(),
                "nothing is named \"" + name + "\"", "see which names the file has");
}

void refuse_wrong_size(const nash_swarm::PackedMatrix& matrix, const char* what, std::size_t size,
                       std::size_t tokens, std::size_t features) {
  if (size % features == 0 && size / features == tokens) return;
  throw Refusal(NASH_SWARM_INVALID_ARGUMENT, matrix.name(),
                std::string(what) + " of " + std::to_string(size) + " floats for " +
                    std::to_string(tokens) + " tokens of " + std::to_string(features) + " features",
                "pass tokens * features floats");
}

}  // namespace

const char* nash_swarm_error_message(void) {
  return last_message;
}

nash_swarm_status nash_swarm_model_open(const char* path, nash_swarm_model** model) {
  return guarded(NASH_SWARM_BAD_FILE, [&] {
    refuse_null("nash_swarm_model_open", path, model);
    *model = new nash_swarm_model(path);
  });
}

void nash_swarm_model_close(nash_swarm_model* model) {
  delete model;
}

nash_swarm_status nash_swarm_matrix_count(const nash_swarm_model* model, size_t* count) {
  return guarded(NASH_SWARM_INVALID_ARGUMENT, [&] {
    refuse_null("nash_swarm_matrix_count", model, count);
    *count = model->matrices.size();
  });
}

nash_swarm_status nash_swarm_matrix_at(const nash_swarm_model* model, size_t index,
                                       const nash_swarm_matrix** matrix) {
  return guarded(NASH_SWARM_INVALID_ARGUMENT, [&] {
    refuse_null("nash_swarm_matrix_at", model, matrix);
    if (index >= model->matrices.size()) {
      throw Error("nash_swarm_matrix_at", "index " + std::to_string(index) + " of " +
                                              std::to_string(model->matrices.size()) + " matrices");
    }
    *matrix = &model->matrices[index];
  });
}

nash_swarm_status nash_swarm_matrix_find(const nash_swarm_model* model, const char* name,
                                         const nash_swarm_matrix** matrix) {
  return guarded(NASH_SWARM_NOT_FOUND, [&] {
    refuse_null("nash_swarm_matrix_find", model, name, matrix);
    for (const nash_swarm_matrix& candidate : model->matrices) {
      if (candidate.packed->name() != name) continue;
      *matrix = &candidate;
      return;
    }
    refuse_unknown(*model, name);
  });
}

nash_swarm_status nash_swarm_matrix_describe(const nash_swarm_matrix* matrix,
                                             nash_swarm_matrix_info* info) {
  return guarded(NASH_SWARM_INVALID_ARGUMENT, [&] {
    refuse_null("nash_swarm_matrix_describe", matrix, info);
    const nash_swarm::PackedMatrix& packed = *matrix->packed;
    *info = {packed.name().c_str(), packed.out_features(), packed.in_features(),
             packed.stored_bytes()};
  });
}

nash_swarm_status nash_swarm_document(const nash_swarm_model* model, const char* name,
                                      const char** text, size_t* length) {
  return guarded(NASH_SWARM_NOT_FOUND, [&] {
    refuse_null("nash_swarm_document", model, name, text, length);
    const std::string_view document = model->file.document(name);
    *text = document.data();
    *length = document.size();
  });
}

nash_swarm_status nash_swarm_read_floats(const nash_swarm_model* model, const char* name,
                                         float* values, size_t size) {
  return guarded(NASH_SWARM_INVALID_ARGUMENT, [&] {
    refuse_null("nash_swarm_read_floats", model, name, values);
    const nash_swarm::StoredTensor* const tensor = model->file.file().find(name);
    if (tensor == nullptr) refuse_unknown(*model, name);
    const std::size_t elements = tensor->bytes.size() / nash_swarm::size_of(tensor->type);
    if (size != elements) {
      throw Error(name, std::to_string(size) + " floats for a tensor of " +
                            std::to_string(elements) + " elements");
    }
    nash_swarm::read_floats(*tensor, 0, {values, size});
  });
}

nash_swarm_status nash_swarm_threads_start(size_t count, nash_swarm_threads** threads) {
  return guarded(NASH_SWARM_INVALID_ARGUMENT, [&] {
    refuse_null("nash_swarm_threads_start", threads);
    *threads = new nash_swarm_threads{nash_swarm::ThreadPool(count)};
  });
}

void nash_swarm_threads_stop(nash_swarm_threads* threads) {
  delete threads;
}

nash_swarm_status nash_swarm_matmul(const nash_swarm_matrix* matrix, size_t tokens, const float* x,
                                    size_t x_size, float* y, size_t y_size,
                                    nash_swarm_threads* threads) {
  return guarded(NASH_SWARM_INVALID_ARGUMENT, [&] {
    refuse_null("nash_swarm_matmul", matrix, x, y);
    const nash_swarm::PackedMatrix& packed = *matrix->packed;
    refuse_wrong_size(packed, "x", x_size, tokens, packed.in_features());
    refuse_wrong_size(packed, "y", y_size, tokens, packed.out_features());
    const nash_swarm::TensorView<const float, 2> inputs{x, {tokens, packed.in_features()}};
    const nash_swarm::TensorView<float, 2> outputs{y, {tokens, packed.out_features()}};
    if (threads == nullptr) {
      nash_swarm::SerialExecutor caller;
      nash_swarm::matmul(packed, inputs, outputs, caller);
    } else {
      nash_swarm::matmul(packed, inputs, outputs, threads->pool);
    }
  });
}

nash_swarm_status nash_swarm_decode_row(const nash_swarm_matrix* matrix, size_t row, float* weights,
                                        size_t size) {
  return guarded(NASH_SWARM_INVALID_ARGUMENT, [&] {
    refuse_null("nash_swarm_decode_row", matrix, weights);
    nash_swarm::decode_row(*matrix->packed, row, {weights, {size}});
  });
}
