package privilege

import (
	"strings"
	"testing"
)

const goodStatus = `Name:	postmoat
Umask:	0022
State:	S (sleeping)
Uid:	990	990	990	990
Gid:	991	991	991	991
Groups:	4 101 
CapInh:	0000000000003000
CapPrm:	0000000000003000
CapEff:	0000000000003000
CapBnd:	0000000000003000
CapAmb:	0000000000003000
NoNewPrivs:	1
Seccomp:	0
`

// TestCheck: whichever of the lines is another one, or is not there, is seen.
func TestCheck(t *testing.T) {
	want := identity{uid: 990, gid: 991, groups: []int{4, 101}, caps: setOf([]Cap{NetAdmin, NetRaw})}
	if err := check(goodStatus, want); err != nil {
		t.Errorf("as it should be: %v", err)
	}
	for _, c := range []struct{ field, from, to string }{
		{"Uid", "990	990	990	990", "0	990	990	990"},
		{"Uid", "990	990	990	990", "990	0	990	990"},
		{"Uid", "990	990	990	990", "990	990	0	990"},
		{"Uid", "990	990	990	990", "990	990	990	0"},
		{"Uid", "990	990	990	990", "990	990	990"},
		{"Gid", "991	991	991	991", "991	0	991	991"},
		{"Groups", "4 101", "0 4 101"},
		{"Groups", "4 101", "4"},
		{"Groups", "4 101", "4 x"},
		{"CapInh", "CapInh:	0000000000003000", "CapInh:	0000000000000000"},
		{"CapPrm", "CapPrm:	0000000000003000", "CapPrm:	0000000000003001"},
		{"CapEff", "CapEff:	0000000000003000", "CapEff:	000001ffffffffff"},
		{"CapBnd", "CapBnd:	0000000000003000", "CapBnd:	000001ffffffffff"},
		{"CapAmb", "CapAmb:	0000000000003000", "CapAmb:	0000000000000000"},
		{"CapAmb", "CapAmb:	0000000000003000\n", ""},
		{"NoNewPrivs", "NoNewPrivs:	1", "NoNewPrivs:	0"},
		{"NoNewPrivs", "NoNewPrivs:	1\n", ""},
	} {
		status := strings.Replace(goodStatus, c.from, c.to, 1)
		if status == goodStatus {
			t.Fatalf("%q does not change the status", c.from)
		}
		if err := check(status, want); err == nil || !strings.Contains(err.Error(), c.field) {
			t.Errorf("%q instead of %q: err = %v, want one about %s", c.to, c.from, err, c.field)
		}
	}
	if err := check(strings.Replace(goodStatus, "4 101 ", "", 1), identity{uid: 990, gid: 991, caps: want.caps}); err != nil {
		t.Errorf("no groups: %v", err)
	}
}

func TestCaps(t *testing.T) {
	for c, want := range map[Cap]string{0: "CAP_CHOWN", NetAdmin: "CAP_NET_ADMIN", NetRaw: "CAP_NET_RAW", 40: "CAP_CHECKPOINT_RESTORE", 63: "capability 63"} {
		if got := c.String(); got != want {
			t.Errorf("%d is %q, want %q", c, got, want)
		}
	}
	all := []Cap{0, 12, 13, 31, 32, 63}
	if got := setOf(append(all, 13, 0)).list(); len(got) != len(all) || setOf(got) != setOf(all) {
		t.Errorf("set of %v is %v", all, got)
	}
}
