#pragma once

/// True if the library's own product is right.
[[gnu::visibility("default")]] bool hidden_product_is_right();
