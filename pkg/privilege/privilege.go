// Package privilege lets a daemon that was started as root become an ordinary
// user who keeps only the capabilities that its firewall needs, on all threads
// and in pure Go.
//
// On Linux this takes a program that is built without cgo: only then are all
// threads the Go runtime's own. On other systems there are no capabilities to
// keep (pf belongs to root), and everything here is errors.ErrUnsupported.
package privilege

import "fmt"

// Options say what to become.
type Options struct {
	User string // must exist, and not be root
	// Group is the primary group; "" is that of the user.
	Group string
	// Groups are the supplementary groups, all of them: what root or the user
	// is a member of otherwise is given up. Those that do not exist here are
	// left out and reported.
	Groups []string
	// Keep are the only capabilities that this process and the programs it
	// starts can ever have again.
	Keep []Cap
}

// A Report is what the process is now.
type Report struct {
	Dropped       bool // from root to the user
	UID, GID      int
	Groups        []int    // supplementary groups, sorted; only when dropped
	MissingGroups []string // Options.Groups that do not exist
	Caps          []Cap    // effective capabilities, in the order of their numbers
	Missing       []Cap    // of Options.Keep, those that we do not have
	Threads       int      // on how many threads this was seen to be so; only when dropped
}

// An Error is what went wrong, and what the operator can do.
type Error struct {
	Op   string // what was being done: "look up user postmoat"
	Hint string // a sentence, may be empty
	Err  error  // what the system said
}

func (e *Error) Error() string { return fmt.Sprintf("drop privileges: %s: %v", e.Op, e.Err) }

// Unwrap is what the system said.
func (e *Error) Unwrap() error { return e.Err }
