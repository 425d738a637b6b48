package engine

import "unsafe"

// prefetch asks for the memory at p and does not wait for it. It never fails,
// whatever p is.
//
//go:noescape
func prefetch(p unsafe.Pointer)
