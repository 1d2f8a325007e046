#pragma once

/// Version of the library; CMake reads the three numbers from here.
#define NASH_SWARM_VERSION_MAJOR 0
#define NASH_SWARM_VERSION_MINOR 1
#define NASH_SWARM_VERSION_PATCH 0
