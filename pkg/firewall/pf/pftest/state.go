package pftest

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Flavour is one of the systems that pfctl differs between.
type Flavour string

// The flavours.
const (
	OpenBSD Flavour = "openbsd"
	FreeBSD Flavour = "freebsd"
	MacOS   Flavour = "macos"
)

// Flavours are all of them.
var Flavours = [...]Flavour{OpenBSD, FreeBSD, MacOS}

// State is the whole pf of one host.
type State struct {
	Flavour    Flavour
	Now        int64  // Unix seconds
	Enabled    bool   // pf -e
	Device     string // what opening /dev/pf gives: "" works, or "Permission denied"
	Limit      int    // set limit table-entries
	LimitSet   bool   // pf.conf has set it: until then OpenBSD does not enforce it
	RequestMax int    // net.pf.request_maxcount; FreeBSD only
	Hang       bool   // pfctl never ends
	Anchors    map[string]*Anchor
	States     []Conn
	Probes     []Probe
}

// An Anchor has rules and tables; that of the name "" is the main one.
type Anchor struct {
	Rules  []Rule
	Tables map[string]*Table
}

// A Table has addresses, unless it is inactive: killed while a rule names it.
type Table struct {
	Persist, Const, Counters, Inactive bool
	Addrs                              map[netip.Prefix]Addr
}

// Addr is one entry of a table.
type Addr struct {
	Not            bool
	Since          int64 // when its counters were cleared
	Packets, Bytes uint64
}

// A Conn is a state. Outer is the address before translation, if there is one.
type Conn struct {
	In                 bool
	Local, Outer, Peer netip.AddrPort
}

// A Probe is a packet whose fate is noted after each run.
type Probe struct {
	Client netip.Addr
	Port   uint16
}

func newState(f Flavour) *State {
	return &State{
		Flavour: f, Now: 1_800_000_000, Enabled: true, Limit: 200_000, RequestMax: 65535,
		Anchors: map[string]*Anchor{"": {Tables: map[string]*Table{}}},
	}
}

// anchor is the one of a name, made where it is missing.
func (s *State) anchor(path string) *Anchor {
	a := s.Anchors[path]
	if a == nil {
		a = &Anchor{}
		s.Anchors[path] = a
	}
	if a.Tables == nil {
		a.Tables = make(map[string]*Table)
	}
	return a
}

// table is an active one, nil where there is none.
func (s *State) table(anchor, name string) *Table {
	a := s.Anchors[anchor]
	if a == nil || a.Tables[name] == nil || a.Tables[name].Inactive {
		return nil
	}
	return a.Tables[name]
}

// entries is how many addresses all tables have together.
func (s *State) entries() (n int) {
	for _, a := range s.Anchors {
		for _, t := range a.Tables {
			n += len(t.Addrs)
		}
	}
	return n
}

// exists: an anchor is there while it has rules, tables or anchors below it, or
// some rule calls it.
func (s *State) exists(path string) bool {
	if path == "" || s.Anchors[path] != nil {
		return true
	}
	for name, a := range s.Anchors {
		if strings.HasPrefix(name, path+"/") {
			return true
		}
		for _, r := range a.Rules {
			if r.Action == "anchor" && resolve(name, r.Anchor) == path {
				return true
			}
		}
	}
	return false
}

// collect removes what pf removes by itself: tables that are neither persistent
// nor named by a rule, and empty anchors.
func (s *State) collect() {
	for path, a := range s.Anchors {
		for name, t := range a.Tables {
			if (!t.Persist || t.Inactive) && !a.refers(name) {
				delete(a.Tables, name)
			}
		}
		if path != "" && len(a.Rules) == 0 && len(a.Tables) == 0 {
			delete(s.Anchors, path)
		}
	}
}

func (a *Anchor) refers(table string) bool {
	return slices.ContainsFunc(a.Rules, func(r Rule) bool { return r.From.Table == table || r.To.Table == table })
}

// matches says whether the longest entry that holds a client is not negated.
func (t *Table) matches(a netip.Addr) (netip.Prefix, bool) {
	for bits := a.BitLen(); bits >= 0; bits-- {
		p, _ := a.Prefix(bits)
		if e, ok := t.Addrs[p]; ok {
			return p, !e.Not
		}
	}
	return netip.Prefix{}, false
}

func (t *Table) sorted() []netip.Prefix {
	list := make([]netip.Prefix, 0, len(t.Addrs))
	for p := range t.Addrs {
		list = append(list, p)
	}
	slices.SortFunc(list, netip.Prefix.Compare)
	return list
}

// GobEncode writes a table compactly: some have 100,000 addresses, and each run
// of the program reads and writes them all.
func (t *Table) GobEncode() ([]byte, error) {
	var out []byte
	for _, flag := range []bool{t.Persist, t.Const, t.Counters, t.Inactive} {
		out = append(out, bit(flag))
	}
	for p, a := range t.Addrs {
		ip := p.Addr().As16()
		out = append(out, ip[:]...)
		out = append(out, byte(p.Bits()), bit(p.Addr().Is4()), bit(a.Not))
		out = binary.BigEndian.AppendUint64(out, uint64(a.Since))
		out = binary.BigEndian.AppendUint64(out, a.Packets)
		out = binary.BigEndian.AppendUint64(out, a.Bytes)
	}
	return out, nil
}

// GobDecode is the inverse.
func (t *Table) GobDecode(in []byte) error {
	t.Persist, t.Const, t.Counters, t.Inactive = in[0] == 1, in[1] == 1, in[2] == 1, in[3] == 1
	in = in[4:]
	const size = 16 + 3 + 24
	t.Addrs = make(map[netip.Prefix]Addr, len(in)/size)
	for ; len(in) >= size; in = in[size:] {
		ip := netip.AddrFrom16([16]byte(in[:16]))
		if in[17] == 1 {
			ip = ip.Unmap()
		}
		t.Addrs[netip.PrefixFrom(ip, int(in[16]))] = Addr{
			Not: in[18] == 1, Since: int64(binary.BigEndian.Uint64(in[19:])),
			Packets: binary.BigEndian.Uint64(in[27:]), Bytes: binary.BigEndian.Uint64(in[35:]),
		}
	}
	return nil
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func load(dir string) (*State, error) {
	b, err := os.ReadFile(filepath.Join(dir, "state"))
	if err != nil {
		return nil, err
	}
	s := new(State)
	return s, gob.NewDecoder(bytes.NewReader(b)).Decode(s)
}

func (s *State) save(dir string) error {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(s); err != nil {
		return err
	}
	tmp := filepath.Join(dir, "state.new")
	if err := os.WriteFile(tmp, b.Bytes(), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, "state"))
}
