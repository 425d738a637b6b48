//go:build !amd64

package engine

import "unsafe"

// prefetch asks for the memory at p where that is known to help.
func prefetch(unsafe.Pointer) {}
