package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postmoat/postmoat/pkg/allow"
	"github.com/postmoat/postmoat/pkg/config"
	"github.com/postmoat/postmoat/pkg/control"
	"github.com/postmoat/postmoat/pkg/prefix"
)

// connection are the flags that say where the daemon listens.
type connection struct {
	config string
	socket string
}

func (n *connection) add(c *cobra.Command) {
	c.Flags().StringVar(&n.config, "config", "", "configuration `FILE` of the daemon (default "+defaultConfig+" if there is one)")
	n.addSocket(c)
}

// addSocket is for commands that have a --config of their own.
func (n *connection) addSocket(c *cobra.Command) {
	c.Flags().StringVar(&n.socket, "socket", "", "control socket of the daemon, a `PATH` (default: what the configuration says)")
}

// dial makes the client. The default configuration is no hindrance where it
// can't be read: at night, with a broken file, an operator still wants to unban
// somebody.
func (n *connection) dial(c *cobra.Command) (*control.Client, error) {
	path, err := n.path()
	switch {
	case err != nil && n.config != "":
		return nil, hinted{err, "--socket PATH says where the daemon listens, without the configuration"}
	case err != nil:
		fmt.Fprintf(c.ErrOrStderr(), "postmoat: the configuration can't be used (%s), so the daemon is looked for at %s\n", clean(firstLine(err.Error())), path)
	}
	d := control.Dial(path)
	d.Warn = func(text string) { fmt.Fprintf(c.ErrOrStderr(), "postmoat: warning: %s\n", clean(text)) }
	return d, nil
}

// path is where the daemon listens; with an error, where it does by default.
func (n *connection) path() (string, error) {
	if n.socket != "" {
		return n.socket, nil
	}
	s := settings{config: n.config}
	cfg, err := s.load()
	if err != nil {
		return config.Default().Control.Socket, err
	}
	return cfg.Control.Socket, nil
}

func firstLine(s string) string {
	line, rest, _ := strings.Cut(s, "\n")
	if rest != "" {
		line += " ..."
	}
	return line
}

// duration reads the value of a flag --for; "" is none.
func duration(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := config.ParseDuration(s)
	if err != nil {
		return 0, usagef("--for: %w", err)
	}
	return d, nil
}

// argument reads the prefix or address of a command line.
func argument(text string) (netip.Prefix, error) {
	p, err := prefix.ParseAny(text)
	if err != nil {
		return p, usageError{err}
	}
	return p, nil
}

// oneArg wants exactly one argument and says which.
func oneArg(what, example string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return hinted{usagef("%s needs %s", called(c), what), "for example: " + example}
		case len(args) > 1:
			return hinted{usagef("%s takes one argument, got %q too", called(c), args[1]), "see '" + c.CommandPath() + " --help'"}
		}
		return nil
	}
}

// called is a command by its name: "allow add".
func called(c *cobra.Command) string {
	return strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" ")
}

// ownPeers are the addresses that a command must not cut off: that of the
// session it is typed in.
func ownPeers() []string {
	if a, ok := allow.SSHPeer(os.Getenv("SSH_CONNECTION")); ok {
		return []string{a.String()}
	}
	return nil
}

// completionTime bounds what the Tab key waits for.
const completionTime = time.Second

// complete offers values of the daemon that runs, if one does.
func (n *connection) complete(values func(ctx context.Context, d *control.Client) ([]string, error)) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		// A shell shows what is written here in the middle of the line.
		path, _ := n.path()
		d := control.Dial(path)
		defer d.Close()
		ctx, cancel := context.WithTimeout(context.Background(), completionTime)
		defer cancel()
		found, err := values(ctx, d)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// bannedPrefixes completes what can be unbanned.
func bannedPrefixes(ctx context.Context, d *control.Client) ([]string, error) {
	bans, err := d.Bans(ctx, control.Query{})
	var out []string
	for i, b := range bans {
		if i > 0 && bans[i-1].Prefix == b.Prefix {
			continue // at the other door
		}
		out = append(out, b.Prefix+"\t"+clean(b.Door+", "+several(len(b.Members), "member")))
	}
	return out, err
}

// bannedMembers completes addresses that there is something to explain of.
func bannedMembers(ctx context.Context, d *control.Client) ([]string, error) {
	bans, err := d.Bans(ctx, control.Query{Sort: "newest"})
	var out []string
	for _, b := range bans {
		if len(b.Members) == 0 && !strings.HasSuffix(b.Prefix, "/32") && !strings.HasSuffix(b.Prefix, "/128") {
			continue
		}
		a := strings.TrimSuffix(strings.TrimSuffix(b.Prefix, "/32"), "/128")
		if len(b.Members) > 0 {
			a, _, _ = strings.Cut(b.Members[0], "/") // of a /64 its first address
		}
		if out = append(out, a+"\tin "+b.Prefix+", "+b.Door); len(out) == 200 {
			break
		}
	}
	return out, err
}

// additions completes what was put on the allowlist by command.
func additions(ctx context.Context, d *control.Client) ([]string, error) {
	l, err := d.Allowlist(ctx)
	var out []string
	for _, e := range l.Entries {
		if e.Kind == allow.Operator.String() {
			out = append(out, e.Prefix+"\t"+clean(e.Origin))
		}
	}
	return out, err
}

// notThere says whether nobody listens, so that a command may look itself.
func notThere(err error) bool {
	return errors.Is(err, control.ErrNotRunning) || errors.Is(err, control.ErrNotPermitted)
}
