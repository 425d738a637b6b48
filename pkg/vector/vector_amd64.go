package vector

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// fast says that the processor has what is called here.
var fast = cpu.X86.HasAVX2

// alike says whether the n bytes at a and at b are the same; n is 1 to 64, and room
// how many bytes may be looked at there.
//
//go:noescape
func alike(a, b unsafe.Pointer, n, room int) bool

// stops marks those of the 64 bytes at p that are a bracket, a blank or a double
// quote, the first in the lowest bit.
//
//go:noescape
func stops(p unsafe.Pointer) uint64

// peer is Peer for the 64 bytes at p.
//
//go:noescape
func peer(p unsafe.Pointer, t *[81]quad) (name, all int, addr uint32)
