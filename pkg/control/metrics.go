package control

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postmoat/postmoat/pkg/daemon"
)

// MetricNames are the names of all metrics of postmoat, sorted. They are a
// contract: dashboards and alert rules use them. Those of the Go runtime (go_)
// and the process (process_) come with them.
func MetricNames() []string {
	var names []string
	for _, m := range metrics {
		names = append(names, m.name)
	}
	slices.Sort(names)
	return names
}

// A metric is one name and how its values come from the counters.
type metric struct {
	name, help string
	kind       string
	labels     []string
	// values gives each value with its labels.
	values func(c *daemon.Counters, add func(v float64, labels ...string))
}

const (
	counter   = "counter"
	gauge     = "gauge"
	histogram = "histogram"
)

// reactionName is the histogram's, which has no values of its own.
const reactionName = "postmoat_reaction_seconds"

var metrics = []metric{
	{"postmoat_build_info", "Always 1; the version is its label.", gauge, []string{"version"}, func(c *daemon.Counters, add func(float64, ...string)) { add(1, c.Status.Version) }},
	{"postmoat_lines_total", "Lines read.", counter, []string{"source"}, labelled(func(c *daemon.Counters) []daemon.Count { return c.Lines })},
	{"postmoat_events_total", "Events read from lines.", counter, []string{"kind"}, labelled(func(c *daemon.Counters) []daemon.Count { return c.Events })},
	{"postmoat_offences_total", "Offences by the rule they broke.", counter, []string{"rule"}, labelled(func(c *daemon.Counters) []daemon.Count { return c.Offences })},
	{"postmoat_not_understood_total", "Lines of Postfix and Dovecot that no grammar matched.", counter, nil, one(func(c *daemon.Counters) uint64 { return c.NotUnderstood })},
	{"postmoat_not_understood_share", "Their share of the lines of Postfix and Dovecot of late, 0 to 1.", gauge, nil, func(c *daemon.Counters, add func(float64, ...string)) { add(c.Status.NotUnderstood) }},

	{"postmoat_bans", "Bans in force.", gauge, []string{"bits", "door", "family"}, banned(func(c *daemon.Counters) []daemon.BanCount { return c.Bans }, false)},
	{"postmoat_bans_started_total", "Bans that began, by the way they came about.", counter, []string{"bits", "door", "family", "reason"}, banned(func(c *daemon.Counters) []daemon.BanCount { return c.Started }, true)},
	{"postmoat_bans_ended_total", "Bans that ended, by how.", counter, []string{"end"}, labelled(func(c *daemon.Counters) []daemon.Count { return c.Ended })},
	{"postmoat_prevented_packets_total", "Packets of banned clients that the firewall kept out.", counter, nil, one(func(c *daemon.Counters) uint64 { return c.PreventedPackets })},
	{"postmoat_prevented_lines_total", "Lines of clients inside a running ban.", counter, nil, one(func(c *daemon.Counters) uint64 { return c.PreventedLines })},
	{"postmoat_sockets_cut_total", "Open connections of banned clients that were cut.", counter, nil, one(func(c *daemon.Counters) uint64 { return c.Status.Firewall.Cut })},
	{reactionName, "Time from a line being read to the packets of its client being dropped.", histogram, nil, nil},

	{"postmoat_firewall_entries", "Entries that the firewall has to hold.", gauge, nil, one(func(c *daemon.Counters) uint64 { return uint64(c.Status.Firewall.Entries) })},
	{"postmoat_firewall_in_step", "1 if the firewall holds what it has to.", gauge, nil, truth(func(c *daemon.Counters) bool { return c.Status.Firewall.InStep })},
	{"postmoat_firewall_repairs_total", "Entries and rules that somebody else had taken from the firewall and that were put back.", counter, nil, one(func(c *daemon.Counters) uint64 { return c.Status.Firewall.Repairs })},
	{"postmoat_firewall_errors_total", "Changes of the firewall that failed; they are tried again.", counter, nil, one(func(c *daemon.Counters) uint64 { return c.Status.Firewall.Errors })},

	{"postmoat_source_lag_bytes", "Bytes of a source still to be read.", gauge, []string{"source"}, func(c *daemon.Counters, add func(float64, ...string)) {
		for _, s := range c.Status.Sources {
			if s.Lag >= 0 {
				add(float64(s.Lag), s.Name)
			}
		}
	}},
	{"postmoat_source_last_line_timestamp_seconds", "When the newest line of a source was read; before the first, since when it is followed.", gauge, []string{"source"}, func(c *daemon.Counters, add func(float64, ...string)) {
		for _, s := range c.Status.Sources {
			at := s.Since
			if s.LastLine != nil {
				at = *s.LastLine
			}
			add(epoch(at), s.Name)
		}
	}},

	{"postmoat_allowlist_entries", "Entries of the allowlist.", gauge, nil, one(func(c *daemon.Counters) uint64 { return uint64(c.Status.Allowlist.Entries) })},
	{"postmoat_allowlist_hits_total", "Offences of allowlisted clients, which were not scored.", counter, nil, one(func(c *daemon.Counters) uint64 { return c.AllowHits })},
	{"postmoat_clients_tracked", "Clients of which there is evidence.", gauge, nil, one(func(c *daemon.Counters) uint64 { return uint64(c.Status.Clients) })},
	{"postmoat_clients_known_good", "Clients known to be good.", gauge, nil, one(func(c *daemon.Counters) uint64 { return uint64(c.Status.KnownGood) })},
	{"postmoat_clients_evicted_total", "Clients that were forgotten because there were too many.", counter, nil, one(func(c *daemon.Counters) uint64 { return c.Evicted })},

	{"postmoat_breaker_tripped", "1 if widening is stopped.", gauge, nil, truth(func(c *daemon.Counters) bool { return c.Status.Breaker.Tripped })},
	{"postmoat_breaker_trips_total", "Times that widening was stopped.", counter, nil, one(func(c *daemon.Counters) uint64 { return uint64(c.Status.Breaker.Trips) })},
	{"postmoat_paused", "1 if an operator has paused banning.", gauge, nil, truth(func(c *daemon.Counters) bool { return c.Status.Paused })},
	{"postmoat_alarms", "Alarms that stand, by kind.", gauge, []string{"kind"}, func(c *daemon.Counters, add func(float64, ...string)) {
		for _, a := range c.Status.Alarms {
			add(1, a.Kind)
		}
	}},

	{"postmoat_snapshot_timestamp_seconds", "When the state was last written to disk; 0: not yet.", gauge, nil, func(c *daemon.Counters, add func(float64, ...string)) {
		if at := c.Status.Snapshot.At; at != nil {
			add(epoch(*at))
		} else {
			add(0)
		}
	}},
	{"postmoat_snapshot_bytes", "Its size.", gauge, nil, one(func(c *daemon.Counters) uint64 { return uint64(max(c.Status.Snapshot.Bytes, 0)) })},
	{"postmoat_snapshot_errors_total", "Times that it could not be written.", counter, nil, one(func(c *daemon.Counters) uint64 { return c.SnapshotErrors })},
}

func one(of func(*daemon.Counters) uint64) func(*daemon.Counters, func(float64, ...string)) {
	return func(c *daemon.Counters, add func(float64, ...string)) { add(float64(of(c))) }
}

func truth(of func(*daemon.Counters) bool) func(*daemon.Counters, func(float64, ...string)) {
	return func(c *daemon.Counters, add func(float64, ...string)) {
		if of(c) {
			add(1)
		} else {
			add(0)
		}
	}
}

func labelled(of func(*daemon.Counters) []daemon.Count) func(*daemon.Counters, func(float64, ...string)) {
	return func(c *daemon.Counters, add func(float64, ...string)) {
		for _, x := range of(c) {
			add(float64(x.N), x.Label)
		}
	}
}

func banned(of func(*daemon.Counters) []daemon.BanCount, reason bool) func(*daemon.Counters, func(float64, ...string)) {
	return func(c *daemon.Counters, add func(float64, ...string)) {
		for _, x := range of(c) {
			family := "ipv4"
			if x.IPv6 {
				family = "ipv6"
			}
			labels := []string{strconv.Itoa(x.Bits), x.Door.String(), family}
			if reason {
				labels = append(labels, x.Label)
			}
			add(float64(x.N), labels...)
		}
	}
}

func epoch(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// gather turns counters into metrics.
func gather(c *daemon.Counters) []family {
	var out []family
	for _, m := range metrics {
		f := family{name: m.name, help: m.help, kind: m.kind}
		if m.name == reactionName {
			f.distribution(&c.Reaction)
			out = append(out, f)
			continue
		}
		// Two sources of one name, or two alarms of a kind, are one value.
		at := map[string]int{}
		m.values(c, func(v float64, labels ...string) {
			s := sample{value: v}
			for i, l := range labels {
				s.labels = append(s.labels, m.labels[i], strings.ToValidUTF8(l, "?"))
			}
			k := strings.Join(s.labels, "\xff") // not in valid UTF-8
			if i, ok := at[k]; ok {
				f.samples[i].value += v
				return
			}
			at[k] = len(f.samples)
			f.samples = append(f.samples, s)
		})
		out = append(out, f)
	}
	return out
}

// metrics answers with the Prometheus text format.
func (s *Server) metrics(w http.ResponseWriter, q *http.Request) error {
	ctx, done, err := s.ask(q)
	if err != nil {
		return err
	}
	c, err := s.d.Counters(ctx)
	done()
	if err != nil {
		return err
	}
	families := append(gather(&c), runtimeMetrics(c.Status.Started)...)
	slices.SortFunc(families, func(a, b family) int { return strings.Compare(a.name, b.name) })
	w.Header().Set("Content-Type", expositionType)
	_, _ = w.Write(exposition(families)) // a client that is gone does not matter
	return nil
}
