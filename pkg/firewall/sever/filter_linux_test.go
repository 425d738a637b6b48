package sever

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// runFilter does what inet_diag_bc_run of the kernel does.
func runFilter(t *testing.T, program []byte, port uint16) bool {
	t.Helper()
	at := 0
	for at < len(program) {
		code, yes, no := program[at], int(program[at+1]), int(binary.NativeEndian.Uint16(program[at+2:]))
		operand := func() uint16 { return binary.NativeEndian.Uint16(program[at+6:]) }
		ok := true
		switch code {
		case 1:
			ok = false
		case 2:
			ok = port >= operand()
		case 3:
			ok = port <= operand()
		default:
			t.Fatalf("operation %d at %d", code, at)
		}
		if ok {
			at += yes
		} else {
			at += no
		}
	}
	return at == len(program)
}

// auditFilter does what inet_diag_bc_audit of the kernel does.
func auditFilter(t *testing.T, program []byte) {
	t.Helper()
	var starts []int // what is reached by always taking yes
	for at := 0; at < len(program); at += int(program[at+1]) {
		if starts = append(starts, at); program[at+1] == 0 {
			t.Fatalf("no way on at %d", at)
		}
	}
	starts = append(starts, len(program))
	for _, at := range starts[:len(starts)-1] {
		least := 8
		if program[at] == 1 {
			least = 4
		}
		yes, no := int(program[at+1]), int(binary.NativeEndian.Uint16(program[at+2:]))
		left := len(program) - at
		if left < least || yes < least || yes > left+4 || yes%4 != 0 || no < least || no > left+4 || no%4 != 0 {
			t.Fatalf("operation at %d: yes %d, no %d, %d left", at, yes, no, left)
		}
		if no < left && !slices.Contains(starts, at+no) {
			t.Fatalf("operation at %d jumps to %d", at, at+no)
		}
	}
}

func TestPortFilter(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	sets := [][]uint16{{25}, {25, 465, 587, 110, 143, 993, 995, 4190}, {0}, {65535}, {0, 65535}, {65534, 65535}, {24, 25, 26, 30}}
	for range 200 {
		var set []uint16
		for range 1 + rnd.IntN(mostRanges) {
			set = append(set, uint16(rnd.IntN(120)))
		}
		sets = append(sets, set)
	}
	ports := []uint16{143, 464, 465, 466, 586, 587, 588, 993, 995, 4189, 4190, 4191, 32767, 32768, 65533, 65534, 65535}
	for p := range uint16(125) {
		ports = append(ports, p)
	}
	for _, set := range sets {
		slices.Sort(set)
		set = slices.Compact(set)
		program := portFilter(set)
		auditFilter(t, program)
		for _, port := range ports {
			if got, want := runFilter(t, program, port), slices.Contains(set, port); got != want {
				t.Fatalf("filter of %v: port %d: %v", set, port, got)
			}
		}
	}
	var many []uint16
	for p := range uint16(mostRanges + 1) {
		many = append(many, 2*p)
	}
	if portFilter(many) != nil || portFilter(nil) != nil {
		t.Error("too many or no ports make a filter")
	}
	if portFilter(many[1:]) == nil {
		t.Error("the most there may be make no filter")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(make([]byte, 72))
	f.Add(append([]byte{2, 1, 0, 0, 0, 25, 0x9c, 0x40, 198, 51, 100, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 192, 0, 2, 7}, make([]byte, 44)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		id, err := parse(b)
		if err != nil {
			return
		}
		if a := id.remote(); !a.IsValid() || a.Is4In6() || a.Zone() != "" {
			t.Errorf("remote = %v", a)
		}
		if id.localPort() != binary.BigEndian.Uint16(b[4:]) {
			t.Errorf("local port = %d", id.localPort())
		}
	})
}

func TestParse(t *testing.T) {
	b := append([]byte{2, 1, 0, 0, 0, 25, 0x9c, 0x40, 198, 51, 100, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 192, 0, 2, 7}, make([]byte, 44)...)
	id, err := parse(b)
	if err != nil || id.localPort() != 25 || id.remote().String() != "192.0.2.7" {
		t.Errorf("socket %v, %v", id, err)
	}
	b[0] = 10 // AF_INET6, IPv4-mapped
	copy(b[24:], "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x08")
	if id, err = parse(b); err != nil || id.localPort() != 25 || id.remote().String() != "192.0.2.8" {
		t.Errorf("socket %v, %v", id, err)
	}
	for _, bad := range [][]byte{nil, b[:51], append([]byte{1}, b[1:]...)} {
		if id, err := parse(bad); err == nil {
			t.Errorf("%v is a socket: %v", bad, id)
		}
	}
}
