package pf

import (
	"fmt"
	"strings"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/maillog"
)

// names are those of our anchors and tables. Names of tables begin with that of
// the owner: pfctl warns of equal ones in other anchors. The longest is
// 16 + 12 letters; pf takes 31.
type names struct {
	outer, inner string
	allow        string
	bans         []string // one for each slot
}

// inner is the last part of the name of the inner anchor.
const inner = "cut"

func newNames(o firewall.Options) names {
	n := names{outer: o.Owner, inner: o.Owner + "/" + inner, allow: o.Owner + "_allow"}
	for door := range maillog.NumDoors {
		n.bans = append(n.bans, fmt.Sprintf("%s_%v_hosts", o.Owner, door), fmt.Sprintf("%s_%v_nets", o.Owner, door))
	}
	return n
}

// slot is the index of the table that has to hold an entry.
func slot(e ban.Entry) int {
	if e.Everywhere() {
		return 2 * int(e.Door)
	}
	return 2*int(e.Door) + 1
}

// entry is the inverse: a prefix that was found in the table of a slot. It is
// false for one that does not belong there.
func entry(s int, f found) (ban.Entry, bool) {
	e := ban.Entry{Prefix: f.prefix, Door: maillog.Door(s / 2)}
	return e, !f.negated && slot(e) == s && f.prefix.Bits() > 0
}

// outerRules are loaded into the outer anchor. A statement with no addresses
// leaves those that a persistent table has.
func (n names) outerRules() string {
	return fmt.Sprintf("table <%s> persist\nanchor %q in proto tcp from ! <%s> to any\n", n.allow, inner, n.allow)
}

// innerRules are loaded into the inner anchor. macOS has no word "counters": it
// counts always.
func (n names) innerRules(o firewall.Options, counters bool) string {
	var s strings.Builder
	for _, t := range n.bans {
		fmt.Fprintf(&s, "table <%s> persist", t)
		if counters {
			s.WriteString(" counters")
		}
		s.WriteByte('\n')
	}
	for i, t := range n.bans {
		if ports := n.ports(o, i); len(ports) > 0 {
			fmt.Fprintf(&s, "block drop in quick proto tcp from <%s> to any port { %s }\n", t, strings.Trim(fmt.Sprint(ports), "[]"))
		}
	}
	return s.String()
}

// ports are those that the clients in the table of a slot are cut off from.
func (n names) ports(o firewall.Options, s int) []uint16 {
	if s%2 == 0 {
		return o.AllPorts()
	}
	return o.Ports[s/2]
}

// whole says whether the rules that pfctl printed are all there.
func (n names) whole(o firewall.Options, shown [2]string) (missing []string) {
	if !strings.Contains(shown[0], fmt.Sprintf("anchor %q in", inner)) || !strings.Contains(shown[0], "<"+n.allow+">") {
		missing = append(missing, fmt.Sprintf("rules of anchor %q", n.outer))
	}
	for i, t := range n.bans {
		if len(n.ports(o, i)) > 0 && !strings.Contains(shown[1], "<"+t+">") {
			return append(missing, fmt.Sprintf("rules of anchor %q", n.inner))
		}
	}
	return missing
}
