package daemon

import (
	"net/netip"
	"time"

	"github.com/postmoat/postmoat/pkg/allow"
	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/score"
	"github.com/postmoat/postmoat/pkg/source"
)

// Status is the daemon at a glance.
type Status struct {
	Version  string    `json:"version"`
	Started  time.Time `json:"started"`
	Clock    time.Time `json:"clock"` // the scoring clock; zero before the first line
	Phase    string    `json:"phase"` // "starting", "catching up", "running", "stopping"
	Healthy  bool      `json:"healthy"`
	DryRun   bool      `json:"dry_run"`
	Paused   bool      `json:"paused"`
	PausedBy string    `json:"paused_by,omitempty"`

	Sources []SourceStatus `json:"sources"`

	LinesPerSecond    float64 `json:"lines_per_second"` // over the last minute
	OffencesPerSecond float64 `json:"offences_per_second"`
	NotUnderstood     float64 `json:"not_understood"` // share of Postfix and Dovecot lines, 0 to 1

	Bans      int    `json:"bans"`     // by prefix and door
	Hosts     int    `json:"hosts"`    // that are banned by themselves, each once, at however many doors
	Networks  int    `json:"networks"` // likewise
	Clients   int    `json:"clients"`  // with evidence
	KnownGood int    `json:"known_good"`
	Near      []Near `json:"near"` // clients closest to a limit

	Firewall  FirewallStatus `json:"firewall"`
	Allowlist AllowStatus    `json:"allowlist"`
	Breaker   BreakerStatus  `json:"breaker"`
	Snapshot  SnapshotStatus `json:"snapshot"`
	Memory    uint64         `json:"memory"` // bytes obtained from the system
	Alarms    []Alarm        `json:"alarms"`
}

// SourceStatus is how one source is doing.
type SourceStatus struct {
	Name      string       `json:"name"`
	State     source.State `json:"state"`
	Lag       int64        `json:"lag"`   // bytes still to be read; -1: not known
	Since     time.Time    `json:"since"` // it is followed: the start, or the reload that added it
	LastLine  *time.Time   `json:"last_line,omitempty"`
	Lines     uint64       `json:"lines"`
	Long      uint64       `json:"long"`
	Refused   uint64       `json:"refused"`
	Rotations uint64       `json:"rotations"`
	Shift     int64        `json:"shift,omitempty"` // seconds its stamps are corrected by
}

// Near is a client close to a limit.
type Near struct {
	Client  netip.Prefix `json:"client"`
	Door    string       `json:"door"`
	Window  string       `json:"window"`
	Score   float64      `json:"score"`
	Limit   float64      `json:"limit"`
	Events  int          `json:"events"`
	Factor  float64      `json:"factor,omitempty"` // by which good evidence multiplied the limit
	Clients int          `json:"clients,omitempty"`
}

// FirewallStatus is how the firewall is doing.
type FirewallStatus struct {
	Backend string     `json:"backend"`
	Entries int        `json:"entries"` // that it has to hold
	InStep  bool       `json:"in_step"`
	Repairs uint64     `json:"repairs"`
	Errors  uint64     `json:"errors"`
	Error   string     `json:"error,omitempty"` // while it is not in step
	Since   *time.Time `json:"since,omitempty"` // of Error
	Cut     uint64     `json:"cut"`             // open connections of banned clients
	Packets uint64     `json:"packets"`         // kept out, as far as counted
}

// AllowStatus is how the allowlist is doing.
type AllowStatus struct {
	Entries  int      `json:"entries"`
	Problems []string `json:"problems"`
}

// BreakerStatus says whether widening is stopped.
type BreakerStatus struct {
	Tripped bool       `json:"tripped"`
	Until   *time.Time `json:"until,omitempty"`
	Trips   int        `json:"trips"`
}

// SnapshotStatus is how the state on disk is doing.
type SnapshotStatus struct {
	At      *time.Time `json:"at,omitempty"` // of the last one
	Bytes   int64      `json:"bytes"`
	Error   string     `json:"error,omitempty"`
	Pending int        `json:"pending"` // records of the journal that wait for the disk
}

// An Alarm is something the operator has to look at. A daemon with alarms goes
// on.
type Alarm struct {
	Kind  string    `json:"kind"` // "quiet", "not-understood", "skew", "crowd", "firewall", "allowlist", "breaker", "state", or the source's word
	Text  string    `json:"text"`
	Since time.Time `json:"since"`
}

// A Held ban is a running ban and how it stands.
type Held struct {
	ban.Ban        // a copy
	State   string // "in force", "waiting" (for the firewall), "hidden" (a manual one beneath a wider), "dry run"
}

// An Explanation is all that is known of an address. It is plain data; control
// puts it into words.
type Explanation struct {
	Addr      netip.Addr
	Now       time.Time
	Bans      []Held
	Allowed   []allow.Entry
	KnownGood time.Time // since when; zero: it is not
	Messages  float64   // decayed good evidence
	Standing  []DoorStanding
	// Past are the last bans that held the address, newest first, of those
	// the daemon remembers.
	Past []ban.Spell
}

// A DoorStanding is how close an address is to the limits of one window at one
// door.
type DoorStanding struct {
	Door   maillog.Door
	Window string
	Span   time.Duration
	score.Standing
}

// An Event is something that happened, for hooks and shippers.
type Event struct {
	Time    time.Time  `json:"time"`
	Type    string     `json:"type"` // "ban", "renew", "end", "alarm", "clear", "reload", "pause", "resume", "allow", "repair", "lost"
	Prefix  string     `json:"prefix,omitempty"`
	Door    string     `json:"door,omitempty"`
	Until   *time.Time `json:"until,omitempty"`
	Members int        `json:"members,omitempty"`
	Level   int        `json:"level,omitempty"`
	Ended   string     `json:"ended,omitempty"` // how: see ban.Spell
	Into    string     `json:"into,omitempty"`
	Knocks  uint64     `json:"knocks,omitempty"`
	Kind    string     `json:"kind,omitempty"` // of an alarm
	Text    string     `json:"text,omitempty"` // why, for people
	Lost    uint64     `json:"lost,omitempty"` // events this listener was too slow for
}

// A Count is one counter with the label it is told apart by.
type Count struct {
	Label string
	N     uint64
}

// BanCount counts bans by door, prefix length and what Label says.
type BanCount struct {
	Door  maillog.Door
	Bits  int // 4: as an IPv4 length, 6: an IPv6 length, see IPv6
	IPv6  bool
	Label string // why it was made; "" for those in force
	N     uint64
}

// Counters are what metrics are made of. All counters grow from 0 at the start
// of the process, but Evicted and the trips of the breaker: those are kept with
// the state.
type Counters struct {
	Status           Status     // without Near
	Lines            []Count    // by source
	Events           []Count    // by kind
	Offences         []Count    // by rule
	Bans             []BanCount // in force
	Started          []BanCount // by reason: the words of ban.Kind
	Ended            []Count    // by how
	NotUnderstood    uint64
	AllowHits        uint64 // offences of allowlisted clients
	PreventedLines   uint64
	PreventedPackets uint64
	Evicted          uint64
	SnapshotErrors   uint64
	// Reaction is the time from a line being read to the packets of its
	// client being dropped: cumulative counts for each bound, as Prometheus
	// has them.
	Reaction Histogram
}

// A Histogram counts durations in seconds. Buckets[i] is how many were at most
// Bounds[i].
type Histogram struct {
	Bounds  []float64
	Buckets []uint64
	Sum     float64
	Count   uint64
}
