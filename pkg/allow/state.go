package allow

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/postmoat/postmoat/pkg/prefix"
)

// A State is what a Collector knows that cannot be found out again at will:
// the last good content of files, the last good answers of the DNS, and what
// the operator added. Everything in it is sorted.
type State struct {
	Additions []Addition
	Folders   []string // that were read at some time
	Files     []FileState
	Names     []NameState
}

// A FileState is the last good content of a file.
type FileState struct {
	Path   string
	Folder string // the folder of the allowlist it is in, "" when it is named itself
	Items  []Item
}

// A NameState is the last good answer for a name. Times are Unix seconds, 0: never.
type NameState struct {
	Name       string
	MX         bool // Name is a domain, Hosts are its mail exchangers
	V4, V6     []netip.Addr
	More       bool // there were more addresses than are kept
	At4, At6   int64
	Hosts      []string
	AtHosts    int64
	FirstAsked int64
}

// Kept gives what is to survive a restart: not the additions that are not
// meant to; and each name gets its time of grace anew.
func (s State) Kept() State {
	s.Additions = slices.DeleteFunc(slices.Clone(s.Additions), func(a Addition) bool { return !a.Persist })
	s.Names = slices.Clone(s.Names)
	for i := range s.Names {
		s.Names[i].FirstAsked = 0
	}
	return s
}

// State gives what is to be handed to the next Collector: after a change of the
// configuration as it is, over a restart only what Kept leaves of it. It never
// waits for a look that is going on.
func (c *Collector) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.saved
	s.Additions = slices.Clone(c.added)
	return s
}

// Restore takes the state of an earlier Collector over; it comes before the
// first look. What the options no longer name is left out. A state that makes
// no sense is an error and changes nothing.
func (c *Collector) Restore(s State) error {
	if err := s.check(); err != nil {
		return fmt.Errorf("restore allowlist: %w", err)
	}
	c.work.Lock()
	defer c.work.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.first {
		return errors.New("restore allowlist: it has been read already")
	}
	c.files.restore(s)
	c.names.restore(s)
	c.added = slices.Clone(s.Additions)
	c.saved = State{Folders: c.files.folderState(), Files: c.files.state(), Names: c.names.state()}
	c.publish(c.o.Now().Unix())
	return nil
}

func (s State) check() error {
	if len(s.Additions) > maxAdditions || len(s.Names) > maxNames || len(s.Files) > 1<<16 {
		return errors.New("too much of it")
	}
	for i, a := range s.Additions {
		if err := a.check(); err != nil {
			return err
		}
		if i > 0 && compareAdditions(s.Additions[i-1], a) >= 0 {
			return fmt.Errorf("addition %s is out of order", a.Prefix)
		}
	}
	for i, f := range s.Files {
		if i > 0 && s.Files[i-1].Path >= f.Path || len(f.Items) > maxFileItems {
			return fmt.Errorf("file %q is out of order or too long", cut(f.Path))
		}
		for _, it := range f.Items {
			isPrefix := it.Prefix.IsValid() && it.Prefix == prefix.Canonical(it.Prefix)
			if isPrefix == validName(it.Name) || isPrefix && it.Name != "" || it.Line < 1 {
				return fmt.Errorf("file %q has a line that is none", cut(f.Path))
			}
		}
	}
	for i, n := range s.Names {
		if i > 0 && compareQueries(query{s.Names[i-1].Name, s.Names[i-1].MX}, query{n.Name, n.MX}) >= 0 {
			return fmt.Errorf("name %q is out of order", cut(n.Name))
		}
		if err := n.check(); err != nil {
			return fmt.Errorf("name %q: %w", cut(n.Name), err)
		}
	}
	return nil
}

func (n NameState) check() error {
	switch {
	case !validName(n.Name):
		return errors.New("is no name")
	case len(n.V4) > maxAddrs || len(n.V6) > maxAddrs || len(n.Hosts) > maxHosts:
		return errors.New("has too many addresses")
	case n.At4 < 0 || n.At6 < 0 || n.AtHosts < 0 || n.FirstAsked < 0:
		return errors.New("was asked for before all time")
	case (n.At4 == 0) != (len(n.V4) == 0) || (n.At6 == 0) != (len(n.V6) == 0) || (n.AtHosts == 0) != (len(n.Hosts) == 0):
		return errors.New("has an answer without a time, or a time without an answer")
	case !ascending(n.V4, netip.Addr.Compare) || !ascending(n.V6, netip.Addr.Compare) || !ascending(n.Hosts, strings.Compare):
		return errors.New("has an answer out of order")
	}
	for _, a := range slices.Concat(n.V4, n.V6) {
		if !a.IsValid() || a != prefix.Addr(a) {
			return errors.New("has an address that is none")
		}
	}
	for _, h := range n.Hosts {
		if !validName(h) {
			return errors.New("has a host that is none")
		}
	}
	return nil
}

func ascending[T any](all []T, compare func(a, b T) int) bool {
	for i := range all {
		if i > 0 && compare(all[i-1], all[i]) >= 0 {
			return false
		}
	}
	return true
}

func (f *files) folderState() []string { return slices.Sorted(maps.Keys(f.folders)) }

func (f *files) state() []FileState {
	var all []FileState
	for path, w := range f.states {
		if w.good {
			all = append(all, FileState{Path: path, Folder: w.folder, Items: w.items})
		}
	}
	slices.SortFunc(all, func(a, b FileState) int { return cmp.Compare(a.Path, b.Path) })
	return all
}

func (f *files) restore(s State) {
	for _, path := range s.Folders {
		if slices.Contains(f.o.Files, path) {
			f.folders[path] = true
		}
	}
	for _, fs := range s.Files {
		named := fs.Path
		if fs.Folder != "" {
			named = fs.Folder
		}
		if slices.Contains(f.o.Files, named) {
			f.states[fs.Path] = &watched{folder: fs.Folder, good: true, items: fs.Items}
		}
	}
	f.changed = true
}

func (n *names) state() []NameState {
	all := make([]NameState, 0, len(n.known))
	for q, l := range n.known {
		all = append(all, NameState{
			Name: q.name, MX: q.mx,
			V4: l.v4.addrs, V6: l.v6.addrs, At4: l.v4.at, At6: l.v6.at, More: l.v4.more || l.v6.more,
			Hosts: l.hosts, AtHosts: l.hostsAt, FirstAsked: l.asked,
		})
	}
	slices.SortFunc(all, func(a, b NameState) int {
		return compareQueries(query{a.Name, a.MX}, query{b.Name, b.MX})
	})
	return all
}

func (n *names) restore(s State) {
	for _, ns := range s.Names {
		n.known[query{ns.Name, ns.MX}] = &lookup{
			v4:    family{addrs: ns.V4, more: ns.More && len(ns.V4) > 0, at: ns.At4},
			v6:    family{addrs: ns.V6, more: ns.More && len(ns.V6) > 0, at: ns.At6},
			hosts: ns.Hosts, hostsAt: ns.AtHosts, asked: ns.FirstAsked,
		}
	}
}
