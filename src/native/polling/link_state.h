// What the program reads of a link message (messages.ts), without what changes by itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace carp {

// @param body of an RTM_NEWLINK message. Empty: it describes no link of this host.
std::string linkState(const uint8_t* body, size_t length);

}  // namespace carp
