package main

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePage is the size of one, in bytes, on most systems. Where it is larger,
// less of what is asked for comes in huge pages.
const hugePage = 2 << 20

// inHugePages lets the heap grow by size bytes and asks the kernel to give this
// memory in huge pages when it is touched (madvise(2), MADV_HUGEPAGE): many
// kernels give them to nobody else. Memory that comes page by page takes a replay
// a good part of its time, the more so in a virtual machine. A kernel without
// them gives small ones.
//
// Nothing is touched here. The collection that makes the memory free for others is
// quick as long as there is little else.
func inHugePages(size int) {
	// The huge page in which the heap ends is partly in use, so its rest comes page by
	// page. It is skipped by what is alive until the collection: last, which usually
	// lies at the end, being too large for a hole or the stack, and rest.
	last := make([]byte, 128<<10)
	end := uintptr(unsafe.Pointer(unsafe.SliceData(last))) + uintptr(len(last))
	rest := make([]byte, int(-end%hugePage))
	b := make([]byte, size)
	start := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	at := int(-start % hugePage)
	if at >= size || unix.Madvise(b[at:], unix.MADV_HUGEPAGE) != nil {
		return
	}
	runtime.GC()
	runtime.KeepAlive(last)
	runtime.KeepAlive(rest)
}
