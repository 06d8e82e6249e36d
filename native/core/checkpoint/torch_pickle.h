#pragma once

#include <filesystem>

#include "checkpoint/checkpoint.h"

namespace voxpod {

/// Reads the tensors of a file that torch.save() wrote in its ZIP format (.pt, .pth, .bin). Nothing
/// in the file is run: it may name the functions that build tensors, Python's plain containers and
/// nothing else. Nested containers become names with dots, as `generator.conv_pre.bias` or
/// `groups.0.weight`; numbers and texts beside the tensors are left out. Tensors are views of the
/// mapped file; those that are not laid out row after row are copied.
///
/// Throws kCheckpointCorrupt for a file that is cut short or lies, kModelInvalid where it names or
/// holds anything else, kModelUnsupported for TorchScript, big-endian files and compressed ones.
void read_torch_pickle(const std::filesystem::path& path, Checkpoint& out);

/// Whether a file that begins with `head` is in the format of torch before 1.6, which is no ZIP.
bool is_legacy_torch(std::string_view head);

}  // namespace voxpod
