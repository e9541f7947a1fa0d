#pragma once
#include <base/reference.hpp>

namespace corten::image {

using corten::default_domain;
using corten::default_tag;
using corten::is_valid_tag;
using corten::looks_like_domain;
using corten::Reference;

}  // namespace corten::image
