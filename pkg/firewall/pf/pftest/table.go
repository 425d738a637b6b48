package pftest

import (
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// doTable is pfctl -t TABLE -T COMMAND.
func (c *call) doTable() int {
	if !c.given['T'] {
		return 0
	}
	word := complete(c.command, "kill", "flush", "add", "delete", "load", "replace", "show", "test", "zero", "expire")
	if word == "" {
		c.say("pfctl: Unknown table command '%s'", c.command)
		return c.usage()
	}
	if !c.given['t'] || len(c.table) > 31 {
		return c.usage()
	}
	if strings.HasSuffix(c.anchor, "/*") {
		return 255
	}
	switch word {
	case "add", "delete", "replace", "test":
		return c.withAddrs(word)
	case "show":
		return c.showTable()
	case "kill":
		return c.killTable()
	case "flush", "expire":
		if word == "expire" && len(c.rest) != 1 || word == "flush" && len(c.rest) > 0 {
			return c.usage()
		}
		return c.clear(word)
	}
	c.say("fakepfctl: -T %s: not covered", word)
	return NotCovered
}

// An input is an address with its sign.
type input struct {
	p   netip.Prefix
	not bool
}

// lookup takes an address, or resolves a name as pfctl would.
func (c *call) lookup(word string) (netip.Prefix, bool) {
	if p, ok := parseAddr(word); ok {
		return p, true
	}
	host, _, _ := strings.Cut(word, "/")
	if _, numeric := parseAddr(host); !numeric {
		c.names = append(c.names, word)
		if host == "localhost" {
			return netip.MustParsePrefix("127.0.0.1/32"), true
		}
	}
	return netip.Prefix{}, false
}

// addrs reads those of the command line and of -f -.
func (c *call) addrs() (list []input, ok bool) {
	one := func(word string, fromFile bool) bool {
		text := strings.TrimLeft(word, "!")
		p, ok := c.lookup(text)
		if !ok {
			host, _, masked := strings.Cut(text, "/")
			if _, numeric := parseAddr(host); masked && numeric {
				c.say("pfctl: cannot decode %s: Invalid argument", word)
			} else {
				c.say("no IP address found for %s", text)
			}
			if fromFile {
				c.say("pfctl: cannot load -: Success")
			}
			return false
		}
		list = append(list, input{p, (len(word)-len(text))%2 == 1})
		return true
	}
	for _, word := range c.rest {
		if !one(word, false) {
			return nil, false
		}
	}
	if c.file == "-" {
		for line := range strings.Lines(c.stdin) {
			line, _, _ = strings.Cut(line, "#")
			for _, word := range strings.Fields(line) {
				if !one(word, true) {
					return nil, false
				}
			}
		}
	}
	return list, true
}

// full says whether all tables together have no room for n more.
func (c *call) full(n int) bool {
	enforced := c.s.Flavour != OpenBSD || c.s.LimitSet
	return n > 0 && enforced && c.s.entries()+n > c.s.Limit
}

func (c *call) withAddrs(word string) int {
	list, ok := c.addrs()
	if !ok {
		return 255
	}
	t := c.s.table(c.anchor, c.table)
	if t == nil {
		if word != "add" && word != "replace" {
			return c.fails("Table does not exist")
		}
		t = &Table{Persist: true, Addrs: make(map[netip.Prefix]Addr)}
		if !c.dummy {
			a := c.s.anchor(c.anchor)
			if old := a.Tables[c.table]; old != nil {
				t.Counters = old.Counters
			}
			a.Tables[c.table] = t
		}
		c.status("1 table created")
	}
	if word == "add" || word == "replace" {
		for name, a := range c.s.Anchors {
			if other := a.Tables[c.table]; name != c.anchor && other != nil && !other.Inactive {
				c.say("pfctl: warning: table <%s> already defined in anchor \"%s\"", c.table, name)
			}
		}
	}
	if word == "test" {
		return c.test(t, list)
	}
	if most := c.s.RequestMax; c.s.Flavour == FreeBSD && (len(list) > most || word == "replace" && len(list) > (most+1)/2) {
		return c.fails("Invalid argument")
	}
	if t.Const {
		return c.fails("Operation not permitted")
	}
	switch word {
	case "add":
		return c.add(t, list)
	case "delete":
		return c.delete(t, list)
	}
	return c.replace(t, list)
}

func (c *call) add(t *Table, list []input) int {
	fresh := make(map[netip.Prefix]Addr)
	for _, in := range list {
		old, there := t.Addrs[in.p]
		if there && old.Not != in.not && c.verbose > 0 {
			c.line('Y', in)
		}
		if _, twice := fresh[in.p]; !there && !twice {
			fresh[in.p] = Addr{Not: in.not, Since: c.s.Now}
			if c.verbose > 0 {
				c.line('A', in)
			}
		}
	}
	if c.full(len(fresh)) {
		return c.fails("Cannot allocate memory")
	}
	if !c.dummy {
		maps.Copy(t.Addrs, fresh)
	}
	c.status("%d/%d addresses added", len(fresh), len(list))
	return 0
}

func (c *call) delete(t *Table, list []input) int {
	gone := make(map[netip.Prefix]bool)
	for _, in := range list {
		if old, there := t.Addrs[in.p]; there && old.Not == in.not && !gone[in.p] {
			gone[in.p] = true
			if c.verbose > 0 {
				c.line('D', in)
			}
		}
	}
	if !c.dummy {
		for p := range gone {
			delete(t.Addrs, p)
		}
	}
	c.status("%d/%d addresses deleted", len(gone), len(list))
	return 0
}

func (c *call) replace(t *Table, list []input) int {
	next := make(map[netip.Prefix]Addr)
	added, changed := 0, 0
	for _, in := range list {
		if _, twice := next[in.p]; twice {
			continue
		}
		old, there := t.Addrs[in.p]
		switch {
		case !there:
			added++
		case old.Not != in.not:
			changed++
		default:
			next[in.p] = old // keeps its time
			continue
		}
		next[in.p] = Addr{Not: in.not, Since: c.s.Now}
	}
	if c.full(added) {
		return c.fails("Cannot allocate memory")
	}
	deleted := 0
	for p := range t.Addrs {
		if _, stays := next[p]; !stays {
			deleted++
		}
	}
	if !c.dummy {
		t.Addrs = next
	}
	for _, n := range []struct {
		count int
		what  string
	}{{added, "added"}, {deleted, "deleted"}, {changed, "changed"}} {
		if n.count > 0 {
			c.status("%d addresses %s", n.count, n.what)
		}
	}
	if added+deleted+changed == 0 {
		c.status("no changes")
	}
	return 0
}

func (c *call) test(t *Table, list []input) int {
	n := 0
	for _, in := range list {
		net, ok := t.matches(in.p.Addr())
		if ok {
			n++
		}
		switch {
		case c.verbose < 2:
		case ok:
			fmt.Fprintf(&c.out, "M  %s\t%s\n", show(in.p), show(net))
		default:
			fmt.Fprintf(&c.out, "   %s\t nomatch\n", show(in.p))
		}
	}
	c.status("%d/%d addresses match", n, len(list))
	if n < len(list) {
		return 2
	}
	return 0
}

func (c *call) killTable() int {
	n := 0
	if t := c.s.table(c.anchor, c.table); t != nil {
		n = 1
		if !c.dummy {
			t.Inactive, t.Addrs = true, map[netip.Prefix]Addr{}
		}
	}
	c.status("%d table deleted", n)
	return 0
}

// clear is flush and expire.
func (c *call) clear(word string) int {
	age := int64(-1)
	if word == "expire" {
		n, err := strconv.ParseInt(c.rest[0], 10, 32)
		if err != nil || n < 0 {
			c.say("pfctl: expiry time: invalid")
			return 1
		}
		age = n
	}
	t := c.s.table(c.anchor, c.table)
	if t == nil {
		return c.fails("Table does not exist")
	}
	if t.Const {
		return c.fails("Operation not permitted")
	}
	n := 0
	for p, a := range t.Addrs {
		if word == "flush" || c.s.Now-a.Since > age {
			delete(t.Addrs, p)
			n++
		}
	}
	if word == "flush" {
		c.status("%d addresses deleted", n)
	} else {
		c.status("%d/%d addresses expired", n, n)
	}
	return 0
}

// line is an address in three columns: what happened to it, a blank, its sign.
func (c *call) line(what rune, in input) {
	sign := ' '
	if in.not {
		sign = '!'
	}
	fmt.Fprintf(&c.out, "%c %c%s\n", what, sign, show(in.p))
}

// counted: old pf (macOS) counts in every table.
func (c *call) counted(t *Table) bool { return t.Counters || c.s.Flavour == MacOS }

func (c *call) showTable() int {
	t := c.s.table(c.anchor, c.table)
	if t == nil {
		return c.fails("Table does not exist")
	}
	for _, p := range t.sorted() {
		a := t.Addrs[p]
		c.line(' ', input{p, a.Not})
		if c.verbose == 0 {
			continue
		}
		fmt.Fprintf(&c.out, "\tCleared:     %s\n", time.Unix(a.Since, 0).UTC().Format(time.ANSIC))
		if !c.counted(t) {
			continue
		}
		for _, way := range []string{"In", "Out"} {
			for _, fate := range []string{"Block", "Match", "Pass"} {
				if fate == "Match" && c.s.Flavour != OpenBSD {
					continue
				}
				var packets, bytes uint64
				if way == "In" && fate == "Block" {
					packets, bytes = a.Packets, a.Bytes
				}
				fmt.Fprintf(&c.out, "\t%-12s [ Packets: %-18d Bytes: %-18d ]\n", way+"/"+fate+":", packets, bytes)
			}
		}
	}
	return 0
}

// showTables is -s Tables; without an anchor it lists those of all.
func (c *call) showTables() {
	for _, anchor := range slices.Sorted(maps.Keys(c.s.Anchors)) {
		a := c.s.Anchors[anchor]
		if c.anchor != "" && anchor != c.anchor {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(a.Tables)) {
			t := a.Tables[name]
			if t.Inactive {
				continue
			}
			if c.verbose == 0 {
				fmt.Fprintln(&c.out, name)
				continue
			}
			flags := []byte("--a----")
			set := func(i int, letter byte, on bool) {
				if on {
					flags[i] = letter
				}
			}
			set(0, 'c', t.Const)
			set(1, 'p', t.Persist)
			set(4, 'r', a.refers(name))
			set(6, 'C', t.Counters)
			if c.s.Flavour == MacOS {
				flags = flags[:6]
			}
			full := name
			switch {
			case anchor == "":
			case c.s.Flavour == OpenBSD:
				full += "@" + anchor
			default:
				full += "\t" + anchor
			}
			fmt.Fprintf(&c.out, "%s\t%s\n", flags, full)
			if c.verbose > 1 {
				fmt.Fprintf(&c.out, "\tAddresses:   %d\n\tCleared:     %s\n", len(t.Addrs), time.Unix(c.s.Now, 0).UTC().Format(time.ANSIC))
				fmt.Fprintf(&c.out, "\tReferences:  [ Anchors: %-18d Rules: %-18d ]\n", 0, 0)
			}
		}
	}
}

// showAnchors is -s Anchors: those right below.
func (c *call) showAnchors() {
	below := make(map[string]bool)
	for name, a := range c.s.Anchors {
		for n := name; n != "." && n != ""; n = path.Dir(n) {
			below[n] = true
		}
		for _, r := range a.Rules {
			if r.Action == "anchor" && !strings.HasSuffix(r.Anchor, "*") {
				below[resolve(name, r.Anchor)] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(below)) {
		parent := path.Dir(name)
		if parent == "." {
			parent = ""
		}
		if parent == c.anchor {
			fmt.Fprintf(&c.out, "  %s\n", name)
		}
	}
}
