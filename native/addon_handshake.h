#pragma once
// What JavaScript's handshake says to do next with a connection.
#include <napi.h>

#include "engine/engine.h"

namespace skerry::addon {

/** Closes the connection where the resource it names, or one it compares with, is gone. */
HandshakeReply ReplyFrom(Engine& engine, const Napi::Object& answer);

}  // namespace skerry::addon
