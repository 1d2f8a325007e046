/* Lists a packed model, checks its products with its decoded rows, and what the interface says of
 * wrong calls. Prints one line for every matrix; exit code 1 if anything is wrong. */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

#include "nash_swarm_c.h"

enum { tokens = 3 };

static int failures = 0;

#define CHECK(condition) check(condition, #condition, __LINE__)
static void check(int holds, const char* condition, int line) {
  if (holds) return;
  ++failures;
  fprintf(stderr, "line %d: %s does not hold; last message: %s\n", line, condition,
          nash_swarm_error_message());
}

static float* new_floats(size_t count) {
  float* const floats = calloc(count, sizeof *floats);
  if (floats == NULL) abort();
  return floats;
}

static void fill(float* values, size_t count) {
  uint32_t state = 1;
  for (size_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    values[i] = (float)(state >> 8) / (float)(1 << 23) - 1.0f;
  }
}

/* Products differ from those of the decoded rows by the rounding of x to 8 bits alone. */
static void check_product(const nash_swarm_matrix* matrix, nash_swarm_threads* threads) {
  nash_swarm_matrix_info info;
  CHECK(nash_swarm_matrix_describe(matrix, &info) == NASH_SWARM_OK);
  const size_t x_size = tokens * info.in_features;
  const size_t y_size = tokens * info.out_features;
  float* const x = new_floats(x_size);
  float* const y = new_floats(y_size);
  float* const y_of_threads = new_floats(y_size);
  float* const row = new_floats(info.in_features);
  fill(x, x_size);
  CHECK(nash_swarm_matmul(matrix, tokens, x, x_size, y, y_size, NULL) == NASH_SWARM_OK);
  CHECK(nash_swarm_matmul(matrix, tokens, x, x_size, y_of_threads, y_size, threads) ==
        NASH_SWARM_OK);
  CHECK(memcmp(y, y_of_threads, y_size * sizeof *y) == 0);
  double squares = 0.0;
  double errors = 0.0;
  for (size_t r = 0; r < info.out_features; ++r) {
    CHECK(nash_swarm_decode_row(matrix, r, row, info.in_features) == NASH_SWARM_OK);
    for (size_t t = 0; t < tokens; ++t) {
      double sum = 0.0;
      for (size_t k = 0; k < info.in_features; ++k) {
        sum += (double)x[t * info.in_features + k] * (double)row[k];
      }
      const double error = (double)y[t * info.out_features + r] - sum;
      squares += sum * sum;
      errors += error * error;
    }
  }
  CHECK(squares > 0.0);
  const double relative = sqrt(errors / squares);
  CHECK(relative < 0.02);
  printf("%s [%zu, %zu], %zu bytes; product off by %.2g\n", info.name, info.out_features,
         info.in_features, info.bytes, relative);
  free(x);
  free(y);
  free(y_of_threads);
  free(row);
}

static int fails(nash_swarm_status status, nash_swarm_status expected, const char* part) {
  const int as_expected = status == expected && strstr(nash_swarm_error_message(), part) != NULL;
  if (!as_expected) {
    fprintf(stderr, "status %d, expected %d with \"%s\"\n", (int)status, (int)expected, part);
  }
  return as_expected;
}

static void check_wrong_calls(const char* path, const nash_swarm_model* model,
                              const nash_swarm_matrix* matrix) {
  nash_swarm_model* unopened = NULL;
  CHECK(fails(nash_swarm_model_open("/no/such/file", &unopened), NASH_SWARM_BAD_FILE,
              "/no/such/file"));
  CHECK(fails(nash_swarm_model_open(__FILE__, &unopened), NASH_SWARM_BAD_FILE, __FILE__));
  CHECK(unopened == NULL);
  CHECK(fails(nash_swarm_model_open(NULL, &unopened), NASH_SWARM_INVALID_ARGUMENT, "null"));
  CHECK(fails(nash_swarm_model_open(path, NULL), NASH_SWARM_INVALID_ARGUMENT, "null"));

  size_t count = 0;
  CHECK(nash_swarm_matrix_count(model, &count) == NASH_SWARM_OK);
  CHECK(fails(nash_swarm_matrix_count(NULL, &count), NASH_SWARM_INVALID_ARGUMENT, "null"));
  const nash_swarm_matrix* found = matrix;
  CHECK(
      fails(nash_swarm_matrix_find(model, "no matrix", &found), NASH_SWARM_NOT_FOUND, "no matrix"));
  CHECK(fails(nash_swarm_matrix_find(model, NULL, &found), NASH_SWARM_INVALID_ARGUMENT, "null"));
  CHECK(fails(nash_swarm_matrix_at(model, count, &found), NASH_SWARM_INVALID_ARGUMENT, "index"));
  CHECK(found == matrix);

  const char* text = NULL;
  size_t length = 0;
  CHECK(fails(nash_swarm_document(model, "no.json", &text, &length), NASH_SWARM_NOT_FOUND,
              "no.json"));
  float value = 0.0f;
  CHECK(fails(nash_swarm_read_floats(model, "no tensor", &value, 1), NASH_SWARM_NOT_FOUND,
              "no tensor"));

  nash_swarm_matrix_info info;
  CHECK(fails(nash_swarm_matrix_describe(NULL, &info), NASH_SWARM_INVALID_ARGUMENT, "null"));
  CHECK(nash_swarm_matrix_describe(matrix, &info) == NASH_SWARM_OK);
  float* const x = new_floats(2 * info.in_features);
  float* const y = new_floats(2 * info.out_features);
  const size_t in = info.in_features;
  const size_t out = info.out_features;
  CHECK(fails(nash_swarm_matmul(matrix, 2, x, 2 * in - 1, y, 2 * out, NULL),
              NASH_SWARM_INVALID_ARGUMENT, info.name));
  CHECK(fails(nash_swarm_matmul(matrix, 2, x, 2 * in, y, out, NULL), NASH_SWARM_INVALID_ARGUMENT,
              info.name));
  CHECK(fails(nash_swarm_matmul(matrix, SIZE_MAX / in + 2, x, in, y, out, NULL),
              NASH_SWARM_INVALID_ARGUMENT, info.name));
  CHECK(fails(nash_swarm_matmul(matrix, 1, NULL, in, y, out, NULL), NASH_SWARM_INVALID_ARGUMENT,
              "null"));
  CHECK(fails(nash_swarm_decode_row(matrix, out, x, in), NASH_SWARM_INVALID_ARGUMENT, info.name));
  CHECK(fails(nash_swarm_decode_row(matrix, 0, x, in + 1), NASH_SWARM_INVALID_ARGUMENT, info.name));
  free(x);
  free(y);

  nash_swarm_threads* threads = NULL;
  CHECK(fails(nash_swarm_threads_start(SIZE_MAX, &threads), NASH_SWARM_FAILED, ""));
  CHECK(threads == NULL);
  nash_swarm_model_close(NULL);
  nash_swarm_threads_stop(NULL);
}

static int fail_elsewhere(void* unused) {
  (void)unused;
  if (strlen(nash_swarm_error_message()) != 0) return 1;
  nash_swarm_model* model = NULL;
  return nash_swarm_model_open("/of/another/thread", &model) == NASH_SWARM_BAD_FILE ? 0 : 1;
}

static void check_messages_of_threads(void) {
  nash_swarm_model* model = NULL;
  CHECK(nash_swarm_model_open("/of/this/thread", &model) == NASH_SWARM_BAD_FILE);
  thrd_t other;
  int result = 1;
  CHECK(thrd_create(&other, fail_elsewhere, NULL) == thrd_success);
  CHECK(thrd_join(other, &result) == thrd_success);
  CHECK(result == 0);
  CHECK(strstr(nash_swarm_error_message(), "/of/this/thread") != NULL);
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: check_c_interface PACKED_MODEL\n");
    return 2;
  }
  nash_swarm_model* model = NULL;
  if (nash_swarm_model_open(argv[1], &model) != NASH_SWARM_OK) {
    fprintf(stderr, "check_c_interface: %s\n", nash_swarm_error_message());
    return 2;
  }
  CHECK(strlen(nash_swarm_error_message()) == 0);
  nash_swarm_threads* threads = NULL;
  CHECK(nash_swarm_threads_start(2, &threads) == NASH_SWARM_OK);
  size_t count = 0;
  CHECK(nash_swarm_matrix_count(model, &count) == NASH_SWARM_OK);
  CHECK(count > 0);
  for (size_t i = 0; i < count; ++i) {
    const nash_swarm_matrix* matrix = NULL;
    const nash_swarm_matrix* found = NULL;
    nash_swarm_matrix_info info;
    CHECK(nash_swarm_matrix_at(model, i, &matrix) == NASH_SWARM_OK);
    CHECK(nash_swarm_matrix_describe(matrix, &info) == NASH_SWARM_OK);
    CHECK(nash_swarm_matrix_find(model, info.name, &found) == NASH_SWARM_OK);
    CHECK(found == matrix);
    check_product(matrix, threads);
    if (i == 0) check_wrong_calls(argv[1], model, matrix);
  }
  const char* config = NULL;
  size_t length = 0;
  CHECK(nash_swarm_document(model, "config.json", &config, &length) == NASH_SWARM_OK);
  printf("config.json: %.*s\n", (int)length, config);
  check_messages_of_threads();
  nash_swarm_threads_stop(threads);
  nash_swarm_model_close(model);
  return failures == 0 ? 0 : 1;
}
