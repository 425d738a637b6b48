// Command postmoat bans whole networks that flood a mail host.
package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/postmoat/postmoat/pkg/control"
	"github.com/postmoat/postmoat/pkg/firewall"
)

// Exit codes.
const (
	exitOK      = 0
	exitNotWell = 1 // the thing asked about is not well
	exitUsage   = 2
)

// version is set by the linker.
var version = "devel"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := forArgs(os.Args[1:]).ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	usage := isUsage(err)
	for i, line := range strings.Split(strings.TrimRight(err.Error(), "\n"), "\n") {
		if i == 0 || !strings.HasPrefix(line, " ") {
			line = "postmoat: " + line
		}
		fmt.Fprintln(os.Stderr, line)
	}
	if h := cmp.Or(hint(err), control.Hint(err), firewall.Hint(err)); h != "" {
		fmt.Fprintln(os.Stderr, "postmoat: hint: "+h)
	}
	if usage {
		return exitUsage
	}
	return exitNotWell
}

// isUsage says whether err is a mistake in the command line, found here or by the
// daemon: a reason that is too long, say.
func isUsage(err error) bool {
	if _, ok := errors.AsType[usageError](err); ok {
		return true
	}
	e, ok := errors.AsType[*control.Error](err)
	return ok && e.Status == http.StatusBadRequest
}

// usageError is a mistake in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// hinted is an error with advice.
type hinted struct {
	error
	hint string
}

func (e hinted) Unwrap() error { return e.error }

func hint(err error) string {
	var h hinted
	if errors.As(err, &h) {
		return h.hint
	}
	return ""
}

// forArgs is root for one command line: when it begins with a command, the
// others are left out: making them is a good part of a short one.
func forArgs(args []string) *cobra.Command {
	if len(args) == 0 || makers[args[0]] == nil || args[0] == "man" { // which is about all of them
		return root()
	}
	c := noCommands()
	c.AddCommand(makers[args[0]]())
	c.CompletionOptions.DisableDefaultCmd = true
	return c
}

// makers make each command.
var makers = map[string]func() *cobra.Command{
	"replay": replayCommand, "explain": explainCommand, "check": checkCommand, "allow": allowCommand, "list": listCommand,
	"flush": flushCommand, "version": versionCommand, "run": runCommand, "status": statusCommand, "ban": banCommand,
	"unban": unbanCommand, "reload": reloadCommand, "pause": pauseCommand, "resume": resumeCommand, "events": eventsCommand,
	"man": manCommand,
}

// root has all commands.
func root() *cobra.Command {
	c := noCommands()
	for _, make := range makers {
		c.AddCommand(make())
	}
	c.InitDefaultCompletionCmd()
	for _, x := range c.Commands() {
		if x.Name() == "completion" {
			x.Args, x.RunE = noArgs, func(c *cobra.Command, _ []string) error { return c.Help() }
		}
	}
	return c
}

// noCommands has none.
func noCommands() *cobra.Command {
	c := &cobra.Command{
		Use:   "postmoat",
		Short: "Ban whole networks that flood a mail host",
		Long: `postmoat reads the maillog of Postfix and Dovecot, finds the clients that abuse
the host, collapses them into the networks that cost innocent addresses least,
and bans those for a limited time.

Exit codes: 0 all is well; 1 what was asked about is not well; 2 wrong usage.`,
		Args:          noArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(c *cobra.Command, _ []string) error {
			return c.Help()
		},
	}
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return hinted{usageError{err}, fmt.Sprintf("see '%s --help'", c.CommandPath())}
	})
	return c
}

// noArgs refuses arguments with a hint; a word that is no command ends here.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if c.HasSubCommands() {
		return hinted{usagef("no command %q", args[0]), "'" + c.CommandPath() + " --help' lists the commands"}
	}
	return hinted{usagef("%s takes no arguments, got %q", c.CommandPath(), args[0]), "see '" + c.CommandPath() + " --help'"}
}

// flush writes what w still holds. A write that has failed is told once: w says it
// again.
func flush(w *bufio.Writer, err error) error {
	if e := w.Flush(); e != nil && !errors.Is(err, e) {
		return errors.Join(err, e)
	}
	return err
}

// format is the value of --format.
func addFormat(c *cobra.Command, f *string) {
	c.Flags().StringVar(f, "format", "text", "output `FORMAT`: text for people, json for programs")
}

func checkFormat(f string) error {
	if f != "text" && f != "json" {
		return usagef("--format %s: not known: write text or json", f)
	}
	return nil
}
