// Package config reads postmoat.yaml and the rule files into the typed options
// of the other packages. It is the only importer of a YAML package.
//
// Reading is strict: unknown keys, second documents, duplicate keys, host bits
// and impossible values are errors, each with file and line and what to write
// instead, and all of them come at once.
package config

import (
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/postmoat/postmoat/pkg/cover"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/rule"
	"github.com/postmoat/postmoat/pkg/score"
)

// Builtin is what stands in Config.Rules for the rules that are shipped.
const Builtin = "builtin"

// DefaultRules is the folder of the operator's rules. It is the one path of
// Config.Rules that may be absent: a fresh installation has nothing in it.
const DefaultRules = "/etc/postmoat/rules.d"

// A Config is the whole configuration. Times are seconds; paths that were
// relative have been put behind the folder of the file.
type Config struct {
	Sources  Sources
	Rules    []string // Builtin, files and folders, in the order they are read
	Windows  []score.Window
	Ban      Ban
	Cover4   cover.Options
	Cover6   cover.Options
	Budget   int // most entries of all covers together
	Allow    Allow
	Doors    [maillog.NumDoors][]uint16
	Firewall Firewall
	Breaker  Breaker
	State    string // folder
	Control  Control
	Metrics  Metrics
	Clients  int // most clients that are remembered at each door

	At map[string]rule.Pos // where the keys that the file has stand, by path: "windows.burst"
}

// Sources are where lines come from.
type Sources struct {
	Auto bool // to be found out; List is empty
	List []Source
}

// A Source is a file or, where File is empty, the journal.
type Source struct {
	File    string
	Journal Journal
	// Timezone is that of stamps without a zone; nil: the host's.
	Timezone *time.Location
	Pos      rule.Pos
}

// A Journal says which entries of the systemd journal are read: those of the
// slice and those of the identifiers.
type Journal struct {
	Slice       string // "" for none
	Identifiers []string
}

// Ban holds the lifetimes of bans, in seconds.
type Ban struct {
	Time   int64 // of a first ban
	Max    int64 // the longest
	Memory int64 // how long an offender is remembered
	Parole int64
}

// Allow is the allowlist of the configuration.
type Allow struct {
	Networks []Network
	Files    []string // files and folders
	Names    []string
	Private  bool // private ranges are never banned
}

// A Network is an allowlisted prefix and where it stands.
type Network struct {
	Prefix netip.Prefix
	Pos    rule.Pos
}

// Firewall says what holds the bans.
type Firewall struct {
	Backend string // "auto", "nftables", "iptables" or "pf"
	Action  string // "drop" or "reject"
}

// Breaker says when widening stops.
type Breaker struct {
	AddressesPerMinute int64
	KnownGood          int
}

// Control is the unix socket of the daemon.
type Control struct {
	Socket string
	Group  string      // "": the daemon's own
	Mode   fs.FileMode // 0660 or 0600
}

// Metrics is where metrics are served, on a loopback address.
type Metrics struct {
	Listen string // "": nowhere
}

// maxFile bounds a file of the configuration.
const maxFile = 1 << 20

// Load reads a configuration file. What it does not say is as in [Default].
// The error joins an [Error] for each thing that is wrong.
func Load(file string) (*Config, error) {
	text, err := readFile(file)
	if err != nil {
		return nil, err
	}
	return parse(file, text)
}

func readFile(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if info.Size() > maxFile {
		return nil, &Error{Pos: rule.Pos{File: file}, Msg: "is larger than 1 MiB: that is no configuration"}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return text, nil
}

func parse(file string, text []byte) (*Config, error) {
	c := Default()
	c.At = map[string]rule.Pos{}
	r := &reader{file: file, dir: filepath.Dir(file), at: c.At}
	if doc := r.document(text); doc != nil {
		r.config(doc, c)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return c, nil
}
