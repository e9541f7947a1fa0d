#pragma once
// Serial<T>: something that is worked with, a socket or a table in the kernel, by one after the
// other. Unlike Sync, which guards state alone, what is done with it may take its time.
//   serial.with([](Rtnl& rtnl) { ... });   a Sync may be taken inside, another Serial never.
#include <base/sync.hpp>

namespace corten {

template <typename T>
class Serial : private Sync<T> {
public:
    using Sync<T>::Sync;
    using Sync<T>::with;
};

}  // namespace corten
