package pf

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/prefix"
)

// maxDirect is up to how many hosts are killed without looking which of them
// have states: each is one run of pfctl.
const maxDirect = 16

// A Cut is what became of the states of banned clients since New.
type Cut struct {
	States uint64 // killed
	Failed uint64 // calls that failed
	Err    error  // the last failure
}

// Cut tells it. That a state could not be killed is no error of Apply: the ban
// holds for everything but that session.
func (b *Backend) Cut() Cut {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cut
}

// cutStates kills the states of clients that are banned from now on. Of many,
// and of networks, it asks first who has a session at a port that the ban is
// about: the others in the network keep theirs, and so does the allowlist.
func (b *Backend) cutStates(fresh []ban.Entry) {
	var direct []netip.Prefix
	for _, e := range fresh {
		if len(direct) == maxDirect || !e.Everywhere() || b.allow.Overlaps(e.Prefix) {
			direct = b.sessions(fresh)
			break
		}
		direct = append(direct, e.Prefix)
	}
	slices.SortFunc(direct, netip.Prefix.Compare)
	for _, p := range slices.Compact(direct) { // a host may be banned at two doors
		text := p.String()
		if p.IsSingleIP() {
			text = p.Addr().String()
		}
		status, err := b.run(nil, nil, "-k", text)
		if err != nil {
			b.cut.Failed++
			b.cut.Err = explain("kill states", err)
			continue
		}
		b.cut.States += killed(status)
	}
}

// sessions are the clients inside of some bans that have a state at one of
// their ports.
func (b *Backend) sessions(bans []ban.Entry) []netip.Prefix {
	var hosts prefix.Set
	var nets [maillog.NumDoors]prefix.Set
	for _, e := range bans {
		if e.Everywhere() {
			hosts.Insert(e.Prefix)
		} else {
			nets[e.Door].Insert(e.Prefix)
		}
	}
	ports := b.o.AllPorts()
	seen := make(map[netip.Addr]bool)
	_, err := b.run(nil, func(line string) {
		client, local := parseState(line)
		if len(local) == 0 || seen[client] || b.allow.Contains(client) {
			return
		}
		at := func(ports []uint16) bool {
			return slices.ContainsFunc(local, func(p uint16) bool { return slices.Contains(ports, p) })
		}
		banned := hosts.Contains(client) && at(ports)
		for door := range nets {
			banned = banned || nets[door].Contains(client) && at(b.o.Ports[door])
		}
		if banned {
			seen[client] = true
		}
	}, "-s", "states")
	if err != nil {
		b.cut.Failed++
		b.cut.Err = explain("read states", err)
	}
	var out []netip.Prefix
	for a := range seen {
		out = append(out, prefix.Host(a))
	}
	return out
}

// parseState reads the client and our ports of an incoming TCP state:
//
//	all tcp 192.0.2.25:25 <- 198.51.100.7:51234       ESTABLISHED:ESTABLISHED
//	all tcp 10.0.0.2:2525 (192.0.2.25:25) <- 198.51.100.7:51234       ESTABLISHED:ESTABLISHED
//	em0 tcp 2001:db8::25[25] <- 2001:db8:7::1[51234]       ESTABLISHED:ESTABLISHED
//
// Older pf (macOS) writes a translated address after an arrow of its own. There
// are no ports of a state of another kind.
func parseState(line string) (client netip.Addr, local []uint16) {
	words := strings.Fields(line)
	if len(words) < 5 || words[1] != "tcp" {
		return client, nil
	}
	arrow := 0
	for i, w := range words {
		switch w {
		case "->":
			return client, nil
		case "<-":
			arrow = i
		}
	}
	if arrow < 3 || arrow+1 >= len(words) {
		return client, nil
	}
	client, _, ok := parseEnd(words[arrow+1])
	if !ok {
		return client, nil
	}
	for _, w := range words[2:arrow] {
		if _, port, ok := parseEnd(strings.Trim(w, "()")); ok {
			local = append(local, port)
		}
	}
	return client, local
}

// parseEnd reads 192.0.2.1:25 or 2001:db8::1[25].
func parseEnd(s string) (netip.Addr, uint16, bool) {
	host, port, ok := strings.Cut(strings.TrimSuffix(s, "]"), "[")
	if !ok {
		i := strings.LastIndexByte(s, ':')
		if i < 0 {
			return netip.Addr{}, 0, false
		}
		host, port = s[:i], s[i+1:]
	}
	a, err := netip.ParseAddr(host)
	n, err2 := strconv.ParseUint(port, 10, 16)
	return a.WithZone(""), uint16(n), err == nil && err2 == nil
}

// killed is the number in "killed 3 states from 1 sources and 0 destinations".
func killed(status string) uint64 {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, "killed "); ok {
			n, _, _ := strings.Cut(rest, " ")
			count, _ := strconv.ParseUint(n, 10, 64)
			return count
		}
	}
	return 0
}
