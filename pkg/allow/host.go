package allow

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
)

// host looks at interfaces, gateways and resolvers, and keeps of each what it
// said last.
type host struct {
	o    Options
	last map[string]part
}

func newHost(o Options) *host { return &host{o: o, last: make(map[string]part)} }

// keep gives what a source says now or, if it failed, what it said last.
func (h *host) keep(name string, now part, err error) part {
	if err == nil {
		if len(now.sources) == 0 {
			now.sources = []Source{{Name: name, Entries: len(now.entries)}}
		}
		h.last[name] = now
		return now
	}
	pt := h.last[name]
	if len(pt.sources) == 0 {
		pt.sources = []Source{{Name: name}}
	}
	problem := Problem{Severity: Alarm, Origin: name, Text: err.Error() + ": what it said before stays in force"}
	pt.problems = append(slices.Clone(pt.problems), problem)
	return pt
}

func (h *host) interfaces() (pt part, err error) {
	addrs, err := h.o.Interfaces()
	for _, a := range addrs {
		pt.host(Interface, a.Addr, a.Interface)
	}
	return pt, err
}

// resolvConfs are the files with the resolvers: the first may name only the
// stub of systemd-resolved on loopback, the second then has the real ones.
func resolvConfs() []string {
	return []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"}
}

func (h *host) resolvers() (pt part, err error) {
	for _, path := range resolvConfs() {
		text, rerr := h.o.read(path, maxResolvConf)
		if rerr != nil {
			if !errors.Is(rerr, fs.ErrNotExist) {
				err = errors.Join(err, fmt.Errorf("%s: %w", path, rerr))
			}
			continue
		}
		for _, s := range parseResolvConf(text) {
			pt.host(Resolver, s.addr, fmt.Sprintf("%s:%d", path, s.line))
		}
	}
	return pt, err
}

// sessionEntries makes entries of sessions, one for each peer and terminal.
func sessionEntries(all []session) (pt part) {
	for _, s := range all {
		pt.host(Session, s.peer, s.origin())
	}
	slices.SortFunc(pt.entries, compareEntries)
	pt.entries = slices.Compact(pt.entries)
	return pt
}

// gatewayEntries makes entries of gateways.
func gatewayEntries(all []gateway) (pt part) {
	for _, g := range all {
		pt.host(Gateway, g.addr, "default gateway over "+cmp.Or(g.over, "?"))
	}
	return pt
}

// prints gives a text that changes when one of the files does.
func (o Options) prints(paths []string) string {
	var b bytes.Buffer
	for _, path := range paths {
		if st, err := os.Stat(o.under(path)); err == nil {
			fmt.Fprintf(&b, "%s %d %d\n", path, st.Size(), st.ModTime().UnixNano())
		}
	}
	return b.String()
}

func sortedKeys(m map[string]string) []string {
	return slices.SortedFunc(maps.Keys(m), strings.Compare)
}
