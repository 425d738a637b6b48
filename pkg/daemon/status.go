package daemon

import (
	"cmp"
	"iter"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/score"
)

// nearest is how many clients close to a limit a status names.
const nearest = 5

// status is the daemon at a glance; near says whether to look for those close
// to a limit, which takes a walk through all clients.
func (c *core) status(near bool) Status {
	now := c.d.o.Now()
	k := c.d.keeper.State()
	s := Status{
		Version: c.d.o.Version, Started: c.d.started.UTC(), Phase: c.phase,
		DryRun: c.d.o.DryRun, Paused: c.paused != "", PausedBy: c.paused,
		LinesPerSecond: c.lineRate.PerSecond(now.Unix()), OffencesPerSecond: c.badRate.PerSecond(now.Unix()),
		Clients: c.engine.Stats().Clients, KnownGood: c.engine.KnownGood(),
		Firewall: FirewallStatus{
			Backend: k.Backend, Entries: k.Wanted, InStep: k.InStep, Repairs: k.Repairs, Errors: k.Failed,
			Cut: c.d.cuts.cut.Load(), Packets: c.count.packets,
		},
		Allowlist: AllowStatus{Entries: len(c.list.Entries()), Problems: []string{}},
		Breaker:   BreakerStatus{Trips: c.engine.Stats().Breaker},
		Snapshot:  c.saved,
		Memory:    memory(),
		Alarms:    c.sortedAlarms(),
	}
	s.NotUnderstood, _ = c.understood.Alarm()
	s.Healthy = len(s.Alarms) == 0 && c.phase == running
	s.Snapshot.Pending = c.d.ledger.Pending()
	if t := c.engine.Now(); t != 0 {
		s.Clock = stampOf(t)
	}
	if k.Err != nil {
		s.Firewall.Error = k.Err.Error()
		s.Firewall.Since = &k.Since
	}
	for _, p := range c.list.Problems() {
		s.Allowlist.Problems = append(s.Allowlist.Problems, p.String())
	}
	if t := c.engine.BreakerUntil(); t != 0 {
		s.Breaker.Tripped, s.Breaker.Until = true, timeOf(t)
	}
	s.Bans, s.Hosts, s.Networks = sizes(c.engine.Bans())
	for _, f := range c.feeds {
		st := f.status()
		x := SourceStatus{
			Name: f.Key, State: st.State, Since: f.since.UTC(), Lag: st.Lag, Lines: f.lines, Long: st.Long, Refused: st.Refused,
			Rotations: st.Rotations, Shift: f.shift,
		}
		if !st.LastLine.IsZero() {
			at := st.LastLine.UTC()
			x.LastLine = &at
		}
		s.Sources = append(s.Sources, x)
	}
	s.Near = []Near{}
	if near {
		s.Near = c.near()
	}
	return s
}

// sizes counts bans by door, and the hosts and networks that they are of: a host
// that offended at two doors has a ban at each and is one host.
func sizes(bans iter.Seq[*ban.Ban]) (all, hosts, networks int) {
	var prefixes [2][]netip.Prefix
	for b := range bans {
		all++
		i := 0
		if !b.Entry().Everywhere() {
			i = 1
		}
		prefixes[i] = append(prefixes[i], b.Prefix)
	}
	var n [2]int
	for i, ps := range prefixes {
		slices.SortFunc(ps, netip.Prefix.Compare)
		n[i] = len(slices.Compact(ps))
	}
	return all, n[0], n[1]
}

// near are the clients closest to a limit, at all doors.
func (c *core) near() []Near {
	type at struct {
		score.Standing
		door maillog.Door
	}
	var all []at
	for d := range maillog.NumDoors {
		for _, s := range c.engine.Near(nearest, d) {
			all = append(all, at{s, d})
		}
	}
	slices.SortStableFunc(all, func(a, b at) int {
		return cmp.Compare(int64(b.Units)*int64(a.Limit), int64(a.Units)*int64(b.Limit))
	})
	out := []Near{}
	for _, s := range all[:min(len(all), nearest)] {
		w := c.engine.Windows()[s.Window]
		n := Near{
			Client: s.Key, Door: s.door.String(), Window: w.Name,
			Score: float64(s.Units) / score.Unit, Limit: float64(s.Limit) / score.Unit, Events: s.Count, Clients: s.Clients,
		}
		if own := w.Limit * score.Unit; s.Limit > own {
			n.Factor = float64(s.Limit) / float64(own)
		}
		out = append(out, n)
	}
	return out
}

// counters are the numbers behind the metrics.
func (c *core) counters() Counters {
	n := Counters{
		Status:           c.status(false),
		Offences:         sortedCounts(c.count.rules),
		Started:          sortedBans(c.count.started),
		Ended:            sortedCounts(c.count.ended),
		NotUnderstood:    c.count.notUnderstood,
		AllowHits:        c.count.allowHits,
		PreventedLines:   c.count.preventedLines,
		PreventedPackets: c.count.packets,
		Evicted:          c.engine.Stats().Evicted,
		SnapshotErrors:   c.count.snapshotErrors,
		Reaction:         c.count.reaction.view(),
	}
	for _, f := range c.feeds {
		n.Lines = append(n.Lines, Count{f.Key, f.lines})
	}
	for k, v := range c.count.kinds {
		if v > 0 {
			n.Events = append(n.Events, Count{maillog.Kind(k).String(), v})
		}
	}
	held := make(map[BanCount]uint64)
	for b := range c.engine.Bans() {
		held[banCount(b, "")]++
	}
	n.Bans = sortedBans(held)
	return n
}

// held copies a ban for somebody else.
func (c *core) held(b *ban.Ban, hidden bool) Held {
	h := Held{Ban: *b, State: "in force"}
	h.Members = slices.Clone(b.Members)
	switch k := c.d.keeper.State(); {
	case hidden:
		h.State = "hidden"
	case c.d.o.DryRun:
		h.State = "dry run"
	case !k.InStep:
		h.State = "waiting"
	}
	return h
}

// bans are all running bans.
func (c *core) bans() []Held {
	out := make([]Held, 0, c.engine.Len())
	for b := range c.engine.Bans() {
		out = append(out, c.held(b, false))
	}
	for _, b := range c.engine.Hidden() {
		out = append(out, c.held(b, true))
	}
	return out
}

// memory is what the process has obtained from the system and not given back.
func memory() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Sys - m.HeapReleased
}

// since is a time that may not have been.
func since(t int64) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return stampOf(t)
}
