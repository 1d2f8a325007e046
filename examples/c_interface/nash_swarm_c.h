#ifndef NASH_SWARM_C_H
#define NASH_SWARM_C_H

#include <stddef.h>

/**
 * Packed models for hosts that are not written in C++.
 *
 * A call that can fail gives a status, and writes its results only if that is NASH_SWARM_OK. Names,
 * texts and matrices belong to their model and go with it. Any number of threads may use one model
 * at a time, and one set of threads too: a product that finds it busy runs on its caller alone.
 */

#ifdef __cplusplus
extern "C" {
#endif

#define NASH_SWARM_C_API __attribute__((visibility("default")))

typedef enum nash_swarm_status {
  NASH_SWARM_OK = 0,
  NASH_SWARM_INVALID_ARGUMENT = 1, /**< a null pointer, or a size or index that does not fit */
  NASH_SWARM_NOT_FOUND = 2,        /**< the model has nothing of that name */
  NASH_SWARM_BAD_FILE = 3,         /**< missing, damaged, of another version or no packed model */
  NASH_SWARM_OUT_OF_MEMORY = 4,
  NASH_SWARM_FAILED = 5 /**< whatever else the machine refuses, such as more threads */
} nash_swarm_status;

typedef struct nash_swarm_model nash_swarm_model;
typedef struct nash_swarm_matrix nash_swarm_matrix;
typedef struct nash_swarm_threads nash_swarm_threads;

typedef struct nash_swarm_matrix_info {
  const char* name;
  size_t out_features;
  size_t in_features;
  size_t bytes; /**< all that is stored for this matrix alone, without its input basis */
} nash_swarm_matrix_info;

/** What was wrong with the last call of this thread that failed; empty if none has. Valid until the
 * next one fails. */
NASH_SWARM_C_API const char* nash_swarm_error_message(void);

/** Maps a packed model file and checks it. */
NASH_SWARM_C_API nash_swarm_status nash_swarm_model_open(const char* path,
                                                         nash_swarm_model** model);
/** A null pointer is allowed. */
NASH_SWARM_C_API void nash_swarm_model_close(nash_swarm_model* model);

NASH_SWARM_C_API nash_swarm_status nash_swarm_matrix_count(const nash_swarm_model* model,
                                                           size_t* count);
NASH_SWARM_C_API nash_swarm_status nash_swarm_matrix_at(const nash_swarm_model* model, size_t index,
                                                        const nash_swarm_matrix** matrix);
NASH_SWARM_C_API nash_swarm_status nash_swarm_matrix_find(const nash_swarm_model* model,
                                                          const char* name,
                                                          const nash_swarm_matrix** matrix);
NASH_SWARM_C_API nash_swarm_status nash_swarm_matrix_describe(const nash_swarm_matrix* matrix,
                                                              nash_swarm_matrix_info* info);

/** A document such as "config.json" or "vocab.json"; not terminated by a zero. */
NASH_SWARM_C_API nash_swarm_status nash_swarm_document(const nash_swarm_model* model,
                                                       const char* name, const char** text,
                                                       size_t* length);
/** A tensor that is not packed, such as a bias, as floats.
 * @param size number of its elements */
NASH_SWARM_C_API nash_swarm_status nash_swarm_read_floats(const nash_swarm_model* model,
                                                          const char* name, float* values,
                                                          size_t size);

/** Threads for products.
 * @param count those that work, the caller of a product included; 0 for one per core */
NASH_SWARM_C_API nash_swarm_status nash_swarm_threads_start(size_t count,
                                                            nash_swarm_threads** threads);
/** A null pointer is allowed. */
NASH_SWARM_C_API void nash_swarm_threads_stop(nash_swarm_threads* threads);

/** y [tokens, out_features] = x [tokens, in_features] times the transposed matrix
 * [out_features, in_features]; the same bits for every number of threads.
 * @param x_size floats of x, that is tokens * in_features
 * @param y_size floats of y, that is tokens * out_features
 * @param threads a null pointer for the calling thread alone */
NASH_SWARM_C_API nash_swarm_status nash_swarm_matmul(const nash_swarm_matrix* matrix, size_t tokens,
                                                     const float* x, size_t x_size, float* y,
                                                     size_t y_size, nash_swarm_threads* threads);

/** A row of the matrix, such as the embedding of a token.
 * @param size floats of the row, that is in_features */
NASH_SWARM_C_API nash_swarm_status nash_swarm_decode_row(const nash_swarm_matrix* matrix,
                                                         size_t row, float* weights, size_t size);

#ifdef __cplusplus
}
#endif

#endif
