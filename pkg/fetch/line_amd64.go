package fetch

import "unsafe"

// Line asks for the cache line at p.
//
//go:noescape
func Line(p unsafe.Pointer)
