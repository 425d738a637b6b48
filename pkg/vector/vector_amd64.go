package vector

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// fast says that there is AVX2, and BMI1, which every processor with that has but a
// hypervisor may hide: without them alike and stop go byte by byte, and peer is not
// called.
var fast = cpu.X86.HasAVX2 && cpu.X86.HasBMI1

// alike says whether the n bytes at a and at b are the same; n is 1 to 64, and room
// how many bytes may be looked at there.
//
//go:noescape
func alike(a, b unsafe.Pointer, n, room int) bool

// stop is Stop for the n bytes at p; room is how many may be looked at there.
//
//go:noescape
func stop(p unsafe.Pointer, n, room int) int

// peer is Peer for the 64 bytes at p.
//
//go:noescape
func peer(p unsafe.Pointer, t *[81]quad) (name, all int, addr uint32)
