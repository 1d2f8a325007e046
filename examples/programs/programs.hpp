#pragma once

/// What the programs for GPT-2 and those for any family do; they differ in their names and in the
/// model that they take when none is given.
namespace programs {

/// @param name of the program
/// @param model folder taken if `--model` is not given; empty if it has to be
/// @return exit code
int quantize(const char* name, const char* model, int argc, char** argv);

/// As `quantize`.
int evaluate(const char* name, const char* model, int argc, char** argv);
int generate(const char* name, const char* model, int argc, char** argv);

}  // namespace programs
