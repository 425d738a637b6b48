// Package loggen writes made-up maillogs for tests and benchmarks: attacks and
// honest traffic in known amounts, the same bytes for the same seed.
//
// The mixes a, b and c draw their clients from the whole Internet and are for
// benchmarks. All others use documentation and benchmark addresses only
// (RFC 5737, RFC 3849, RFC 2544) and are fit to be committed.
package loggen

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Options says what log to write. Only Mix is needed.
type Options struct {
	Mix   string // a name of [Mixes]
	Seed  uint64
	Lines int       // at most so many lines; 0: a million for a, b and c, else all the mix has
	Start time.Time // of the first line; zero: the mix's own
	ISO   bool      // stamps like rsyslog's RFC 3339 instead of RFC 3164's, which have no year

	// For the mixes a, b and c.
	Attack float64 // share of attack lines in a and b; 0: 0.4; negative: none
	Bots   int     // number of bots in b, each with three tries; 0: as many as the share needs
	V6     float64 // share of IPv6 hosts; 0: 0.1; negative: none
	Rate   float64 // lines a second of log time; 0: 278
}

// Truth is what a log holds, counted as its lines were written.
type Truth struct {
	Mix   string    `json:"mix"`
	Seed  uint64    `json:"seed"`
	Start time.Time `json:"start"` // of the first line
	End   time.Time `json:"end"`   // of the last line
	Lines int       `json:"lines"`
	Bytes int64     `json:"bytes"`

	// Kinds counts the lines that say something about a client, by kind.
	Kinds map[string]int `json:"kinds"`

	AttackLines int     `json:"attack_lines"` // all lines of attack sessions
	AttackShare float64 `json:"attack_line_share"`
	Bots        int     `json:"bots,omitempty"`

	// Attackers holds the offending lines of each client that means ill,
	// Honest the accepted messages and logins of each that does not.
	Attackers map[string]int `json:"attackers"`
	Honest    map[string]int `json:"honest"`
}

// A mix is a kind of log.
type mix struct {
	name, about string
	host        string // that writes the log
	start       time.Time
	begin       func(*generator)
}

func mixes() []mix {
	year := func(y int, d int) time.Time { return time.Date(y, time.July, d, 0, 0, 0, 0, time.UTC) }
	return []mix{
		{"a", "200 hosts of a few networks, null sender, unknown users, among honest mail", "mx1", year(2026, 14), beginFlood},
		{"b", "a botnet: every bot makes three tries", "mx1", year(2026, 14), beginBotnet},
		{"c", "a clean log with a sprinkle of honest mistakes", "mx1", year(2026, 14), beginClean},
		{"2004", "July 2004: Postfix 2.1, 230 hosts of six networks, several connections a second", "dns", year(2004, 12), begin2004},
		{"range", "one /24 whose hosts each stay below their own limit", "mx1", year(2026, 14), beginRange},
		{"backscatter", "many real mail hosts, each with a few bounces that it retries", "mx1", year(2026, 14), beginBackscatter},
		{"provider", "a big provider with a stale address list among thousands of accepted messages", "mx1", year(2026, 14), beginProvider},
		{"forwarder", "a server that forwards spam beside wanted mail, and a mailing list with a stale subscriber", "mx1", year(2026, 14), beginForwarder},
		{"phones", "phones and mail programs with an old password", "mx1", year(2026, 14), beginPhones},
		{"monitor", "a probe that connects and quits or drops every minute for two days", "mx1", year(2026, 14), beginMonitor},
		{"goodin", "a good sender and a partner inside a /24 that attacks two days later", "mx1", year(2026, 12), beginGoodIn},
		{"v6", "an attack spread over the /64s of one /48", "mx1", year(2026, 14), beginV6},
	}
}

// Mixes returns the names of all mixes with a line about each.
func Mixes() (names, abouts []string) {
	for _, m := range mixes() {
		names, abouts = append(names, m.name), append(abouts, m.about)
	}
	return names, abouts
}

// Defaults of [Options] for the mixes a, b and c.
const (
	defaultLines  = 1_000_000
	defaultAttack = 0.4
	defaultV6     = 0.1
	defaultRate   = 278
)

func orDefault(v, def float64) float64 {
	if v == 0 {
		return def
	}
	return max(v, 0)
}

// Write writes a log and says what is in it. It needs memory for the sessions
// of a few seconds and for one number a client, whatever the number of lines.
func Write(w io.Writer, o Options) (Truth, error) {
	all := mixes()
	i := slices.IndexFunc(all, func(m mix) bool { return m.name == o.Mix })
	if i < 0 {
		names, _ := Mixes()
		return Truth{}, fmt.Errorf("mix %q: not one of %s", o.Mix, strings.Join(names, ", "))
	}
	m := all[i]
	if o.Start.IsZero() {
		o.Start = m.start
	}
	if o.Lines == 0 && len(m.name) == 1 {
		o.Lines = defaultLines
	}
	o.Attack, o.V6, o.Rate = orDefault(o.Attack, defaultAttack), orDefault(o.V6, defaultV6), orDefault(o.Rate, defaultRate)
	if o.Rate == 0 || o.Attack >= 1 || o.Lines < 0 {
		return Truth{}, fmt.Errorf("mix %s: the rate and the number of lines must be positive, the attack's share below 1", o.Mix)
	}
	g := &generator{
		o:    o,
		r:    rand.New(rand.NewPCG(o.Seed, 0x9e3779b97f4a7c15)),
		w:    bufio.NewWriterSize(w, 1<<20),
		host: m.host,
		truth: Truth{
			Mix: o.Mix, Seed: o.Seed, Start: o.Start,
			Kinds: map[string]int{}, Attackers: map[string]int{}, Honest: map[string]int{},
		},
		second: -1,
	}
	g.first = o.Start.UnixMilli()
	g.daemon = g.pid()
	m.begin(g)
	g.run()
	return g.finish(), g.w.Flush()
}
