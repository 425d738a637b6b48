package rule

import (
	"fmt"
	"slices"

	"github.com/postmoat/postmoat/pkg/maillog"
)

// An ExampleError is an example of a rule that does not come out as the rule
// says, or a hostile line that leads a pattern astray.
type ExampleError struct {
	Pos  Pos // of the line
	Rule string
	Line string
	Msg  string
}

func (e *ExampleError) Error() string {
	return fmt.Sprintf("%s: rule %q: %s: %s", e.Pos, e.Rule, e.Msg, e.Line)
}

// CheckExamples tries the examples of each rule on that rule alone: lines to
// match must match it, lines to ignore must not. Each line is taken as the
// only one of its log.
func (s *Set) CheckExamples() []ExampleError {
	var out []ExampleError
	for _, r := range s.rules {
		alone, err := Compile([]Spec{*r.spec}, s.windows)
		if err != nil {
			out = append(out, ExampleError{Pos: r.Pos, Rule: r.Name, Msg: err.Error()})
			continue
		}
		for _, x := range r.spec.Match {
			if why := alone.misses(x.Text); why != "" {
				out = append(out, ExampleError{x.Pos, r.Name, x.Text, "should match and does not: " + why})
			}
		}
		for _, x := range r.spec.Ignore {
			if alone.misses(x.Text) == "" {
				out = append(out, ExampleError{x.Pos, r.Name, x.Text, "should be ignored and matches"})
			}
		}
	}
	return out
}

// Untold names the rules without an example that matches: nothing says that
// they ever match a line.
func (s *Set) Untold() []string {
	var out []string
	for _, r := range s.rules {
		if len(r.spec.Match) == 0 {
			out = append(out, r.Name)
		}
	}
	return out
}

// misses reads one line and says why it matches no rule, "" when it does.
func (s *Set) misses(line string) string {
	var ev maillog.Event
	maillog.Parse([]byte(line), &ev)
	if ev.Kind == maillog.KindNone && s.HasCustom() && maillog.Split([]byte(line), &ev) {
		if _, hits := s.MatchCustom(&ev); hits != (Hits{}) {
			return ""
		}
		return fmt.Sprintf("program %q, message %q", ev.Text(maillog.Tag), ev.Text(maillog.Message))
	}
	if ev.Kind <= maillog.KindUnknown {
		return "it is a line of no known form"
	}
	j := maillog.NewJoiner()
	j.Source(0, maillog.SourceOptions{})
	ses := j.Join(0, 1, 0, &ev)
	if s.Match(&ev, ses) != (Hits{}) {
		return ""
	}
	what := "it is of kind " + ev.Kind.String()
	if ev.Stage != maillog.NoStage {
		what += ", stage " + ev.Stage.String()
	}
	if ev.Reason != maillog.NoReason {
		what += ", reason " + ev.Reason.String()
	}
	return what
}

// CheckHostile tries each pattern on lines in which the client wrote a false
// address, whatever program they are of: none may blame anybody but the right
// one.
func (s *Set) CheckHostile(lines []HostileLine) []ExampleError {
	var out []ExampleError
	for _, r := range s.rules {
		if r.pattern == nil {
			continue
		}
		for _, x := range lines {
			var ev maillog.Event
			if !maillog.Split([]byte(x.Text), &ev) || !r.pattern.read(&ev) || ev.Client == x.Client {
				continue
			}
			who := "nobody"
			if x.Client.IsValid() {
				who = x.Client.String()
			}
			out = append(out, ExampleError{
				x.Pos, r.Name, x.Text,
				fmt.Sprintf("the pattern blames %s, right is %s: make it follow the line more closely ahead of the group client", ev.Client, who),
			})
		}
	}
	return slices.Clip(out)
}
