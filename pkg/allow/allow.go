// Package allow collects what must never be banned: the networks, files and
// DNS names of the configuration, special and private ranges, and what the
// host itself says (its addresses, default gateways, resolvers, Postfix, the
// peers of authenticated SSH sessions).
//
// A Collector looks, a List is what it found: an immutable snapshot that also
// says where each entry comes from and what is wrong. Nothing here bans or
// lifts anything, and a source that fails never makes the list shorter at once:
// what was known stays, and a Problem says so.
package allow

import (
	"fmt"
	"net/netip"
)

// A Kind says what sort of source an entry comes from.
type Kind uint8

// The kinds, in the order in which entries of one prefix are listed.
const (
	Config    Kind = iota // networks in the configuration
	File                  // a line of a file of the allowlist
	Name                  // an address of a DNS name that the operator listed
	Operator              // added by command while the daemon runs
	Special               // loopback, link-local, multicast, unspecified, reserved
	Private               // private ranges
	Interface             // an address of this host
	Gateway               // a default gateway
	Resolver              // a DNS resolver of this host
	Postfix               // mynetworks, relayhost and the like, backup MXs
	Session               // the peer of an authenticated SSH session
	numKinds
)

var kindNames = [numKinds]string{
	"config", "file", "name", "operator", "special", "private",
	"interface", "gateway", "resolver", "postfix", "session",
}

// String gives the kind as `postmoat allow` prints it.
func (k Kind) String() string {
	if k >= numKinds {
		return fmt.Sprintf("kind(%d)", uint8(k))
	}
	return kindNames[k]
}

// MarshalText gives the word of String, so that JSON holds words.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// An Entry is one prefix that must never be inside a ban.
type Entry struct {
	Prefix netip.Prefix // masked, IPv4-mapped addresses unmapped, no zone
	Kind   Kind
	Origin string // "postmoat.yaml:12", "/etc/postmoat/allow.d/partners:3", "mx.partner.example", "mynetworks", "eth0", "ssh session of root (pts/0)"
	Until  int64  // when it ends by itself, Unix seconds; 0: no end
}

// A Severity says what a Problem asks of the daemon.
type Severity uint8

// The severities, mildest first.
const (
	Note       Severity = iota // worth a line in `postmoat allow`, nothing to do
	Alarm                      // the operator has to look; bans go on
	NoWidening                 // something may be missing: hosts only, no wider bans
	BanNothing                 // the allowlist was never read: no new bans at all
)

var severityNames = [...]string{"note", "alarm", "no widening", "ban nothing"}

// String gives the severity in words.
func (s Severity) String() string {
	if int(s) >= len(severityNames) {
		return fmt.Sprintf("severity(%d)", uint8(s))
	}
	return severityNames[s]
}

// MarshalText gives the word of String, so that JSON holds words.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A Problem is something about the allowlist that is not as it should be.
type Problem struct {
	Severity Severity
	Origin   string // the file and line, the name, or the source
	Text     string // what is wrong and what to do
	Since    int64  // when this Collector first saw it, Unix seconds
}

// String gives "origin: text".
func (p Problem) String() string { return p.Origin + ": " + p.Text }

// A Source says what one place told, or why it tells nothing here.
type Source struct {
	Name    string // "interfaces", "postfix", "login sessions", ...
	Entries int    // how many entries of the list it gave
	Text    string // why there are none, or what was left out; "" when all is well
}
