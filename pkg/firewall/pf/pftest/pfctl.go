package pftest

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// NotCovered is the exit code for what the fake does not do: pfctl never has
// it, so that a test that relies on such a thing fails.
const NotCovered = 99

// A call is one run of pfctl.
type call struct {
	s        *State
	stdin    string
	out, err strings.Builder
	names    []string // that were looked up

	anchor, table, file string
	command             string // -T
	show, flush         string // -s, -F
	kill                []string
	verbose             int
	quiet, dummy        bool
	enable, disable     bool
	rest                []string
	given               map[byte]bool
}

// run does what pfctl does and gives its exit code.
func (c *call) run(args []string) int {
	c.given = make(map[byte]bool)
	if !c.getopt(args) {
		return c.usage()
	}
	if c.s.Flavour == MacOS {
		c.say("No ALTQ support in kernel")
		c.say("ALTQ related functions disabled")
	}
	if c.s.Device != "" {
		c.say("pfctl: /dev/pf: %s", c.s.Device)
		return 1
	}
	code := 0
	for _, step := range []func() int{c.doSwitch, c.doShow, c.doFlush, c.doKill, c.doTable, c.doLoad} {
		if code == 0 {
			code = step()
		}
	}
	c.s.collect()
	return code
}

// say writes a line to standard error, where all but listings goes.
func (c *call) say(format string, args ...any) { fmt.Fprintf(&c.err, format+"\n", args...) }

// status is a line that -q silences; -n says that nothing was done.
func (c *call) status(format string, args ...any) {
	if c.quiet {
		return
	}
	text := fmt.Sprintf(format, args...)
	if c.dummy {
		text += " (dummy)"
	}
	c.say("%s.", text)
}

// fails is an error of a table command: FreeBSD and macOS end it with a full
// stop.
func (c *call) fails(text string) int {
	if c.s.Flavour != OpenBSD {
		text += "."
	}
	c.say("pfctl: %s", text)
	return 255
}

func (c *call) noAnchor() int {
	if c.s.Flavour == OpenBSD {
		c.say("pfctl: Anchor does not exist")
	} else {
		c.say("pfctl: Anchor or Ruleset does not exist.")
	}
	return 1
}

func (c *call) usage() int {
	c.say("usage: pfctl [-deghmNnqrvz] [-a anchor] [-F modifier] [-f file] [-k host | network]")
	c.say("\t[-s modifier] [-t table -T command [address ...]]")
	return 1
}

// getopt takes fused options ("-Tshow", "-vv") and stops at the first word that
// is none.
func (c *call) getopt(args []string) bool {
	for len(args) > 0 {
		word := args[0]
		if len(word) < 2 || word[0] != '-' {
			break
		}
		args = args[1:]
		if word == "--" {
			break
		}
		for i := 1; i < len(word); i++ {
			o := word[i]
			c.given[o] = true
			switch o {
			case 'v':
				c.verbose++
			case 'q':
				c.quiet = true
			case 'n':
				c.dummy = true
			case 'e':
				c.enable = true
			case 'd':
				c.disable = true
			case 'E':
				if c.s.Flavour != MacOS {
					return false
				}
				c.enable = true
			case 'a', 't', 'T', 'f', 's', 'F', 'k':
				value := word[i+1:]
				if value == "" {
					if len(args) == 0 {
						return false
					}
					value, args = args[0], args[1:]
				}
				c.option(o, value)
				i = len(word)
			default:
				return false
			}
		}
	}
	c.rest = args
	return true
}

func (c *call) option(o byte, value string) {
	switch o {
	case 'a':
		c.anchor = value
	case 't':
		c.table = value
	case 'T':
		c.command = value
	case 'f':
		c.file = value
	case 's':
		c.show = value
	case 'F':
		c.flush = value
	case 'k':
		c.kill = append(c.kill, value)
	}
}

// complete finds the first word that starts with what was given.
func complete(given string, words ...string) string {
	for _, w := range words {
		if given != "" && strings.HasPrefix(w, given) {
			return w
		}
	}
	return ""
}

func (c *call) doSwitch() int {
	switch {
	case c.disable && !c.s.Enabled:
		c.say("pfctl: pf not enabled")
		return 1
	case c.disable:
		c.s.Enabled = false
		c.say("pf disabled")
	case c.enable && c.s.Enabled && !c.given['E']:
		c.say("pfctl: pf already enabled")
		return 1
	case c.enable:
		c.s.Enabled = true
		c.say("pf enabled")
	}
	return 0
}

func (c *call) doShow() int {
	if !c.given['s'] {
		return 0
	}
	what := complete(c.show, "rules", "states", "info", "memory", "Tables", "Anchors")
	if !c.s.exists(c.anchor) {
		return c.noAnchor()
	}
	switch what {
	case "rules":
		if a := c.s.Anchors[c.anchor]; a != nil {
			for _, r := range a.Rules {
				fmt.Fprintln(&c.out, c.s.ruleText(r))
			}
		}
	case "states":
		for _, st := range c.s.States {
			fmt.Fprintln(&c.out, c.s.stateText(st))
		}
	case "info":
		status := "Disabled"
		if c.s.Enabled {
			status = "Enabled"
		}
		fmt.Fprintf(&c.out, "Status: %s for 0 days 00:01:02           Debug: Urgent\n\n", status)
		fmt.Fprintf(&c.out, "State Table                          Total             Rate\n  current entries %24d\n", len(c.s.States))
	case "memory":
		fmt.Fprintf(&c.out, "states        hard limit   100000\ntable-entries hard limit %8d\n", c.s.Limit)
	case "Tables":
		c.showTables()
	case "Anchors":
		c.showAnchors()
	default:
		c.say("pfctl: Unknown show modifier '%s'", c.show)
		return c.usage()
	}
	return 0
}

func (c *call) doFlush() int {
	if !c.given['F'] {
		return 0
	}
	switch complete(c.flush, "rules", "Tables", "all") {
	case "rules":
		c.flushRules()
	case "Tables":
		c.flushTables()
	case "all":
		c.flushRules()
		c.flushTables()
		if c.anchor == "" {
			c.s.States = nil
			c.status("states cleared")
		}
	default:
		c.say("fakepfctl: -F %s: not covered", c.flush)
		return NotCovered
	}
	return 0
}

func (c *call) flushRules() {
	c.s.anchor(c.anchor).Rules = nil
	c.status("rules cleared")
}

// flushTables kills the tables of an anchor; without one, those of all.
func (c *call) flushTables() {
	n := 0
	for path, a := range c.s.Anchors {
		if c.anchor != "" && path != c.anchor {
			continue
		}
		for _, t := range a.Tables {
			if !t.Inactive {
				t.Inactive, t.Addrs = true, map[netip.Prefix]Addr{}
				n++
			}
		}
	}
	c.status("%d tables deleted", n)
}

// doKill removes states by the address that opened them, and with a second -k
// by the other one.
func (c *call) doKill() int {
	if len(c.kill) == 0 {
		return 0
	}
	if len(c.kill) > 2 {
		return c.usage()
	}
	var ends [2]netip.Prefix
	for i, text := range c.kill {
		p, ok := c.lookup(text)
		if !ok {
			c.say("pfctl: getaddrinfo: non-recoverable failure in name resolution")
			return 1
		}
		ends[i] = p
	}
	n := 0
	var left []Conn
	for _, st := range c.s.States {
		src, dst := st.Local.Addr(), st.Peer.Addr()
		if st.In {
			src, dst = dst, src
		}
		if ends[0].Contains(src) && (len(c.kill) == 1 || ends[1].Contains(dst)) {
			n++
		} else {
			left = append(left, st)
		}
	}
	c.s.States = left
	if !c.quiet {
		c.say("killed %d states from 1 sources and %d destinations", n, len(c.kill)-1)
	}
	return 0
}

func (c *call) doLoad() int {
	if c.file == "" || c.given['T'] {
		return 0
	}
	if c.file != "-" {
		c.say("fakepfctl: -f %s: not covered", c.file)
		return NotCovered
	}
	return c.loadRules(c.stdin)
}

// stateText is a line of -s states.
func (s *State) stateText(st Conn) string {
	end := func(a netip.AddrPort) string {
		if a.Addr().Is6() {
			return a.Addr().String() + "[" + strconv.Itoa(int(a.Port())) + "]"
		}
		return a.String()
	}
	arrow, local := "->", end(st.Local)
	if st.In {
		arrow = "<-"
	}
	if st.Outer.IsValid() {
		if s.Flavour == MacOS {
			local += " " + arrow + " " + end(st.Outer)
		} else {
			local += " (" + end(st.Outer) + ")"
		}
	}
	ifname := "all"
	if s.Flavour == MacOS {
		ifname = "ALL"
	}
	return fmt.Sprintf("%s tcp %s %s %s       ESTABLISHED:ESTABLISHED", ifname, local, arrow, end(st.Peer))
}
