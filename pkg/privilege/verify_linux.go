package privilege

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// verify looks at every thread and says how many there are.
func verify(want identity) (threads int, err error) {
	const folder = "/proc/self/task"
	tasks, err := os.ReadDir(folder)
	if err != nil {
		return 0, fmt.Errorf("%w (is /proc mounted?)", err)
	}
	for _, task := range tasks {
		status, err := os.ReadFile(folder + "/" + task.Name() + "/status")
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it ended meanwhile
		}
		if err != nil {
			return 0, err
		}
		if err := check(string(status), want); err != nil {
			return 0, fmt.Errorf("thread %s: %w", task.Name(), err)
		}
		threads++
	}
	if threads == 0 {
		return 0, errors.New("no thread to be seen in " + folder)
	}
	return threads, nil
}

// check compares the status of a thread (proc_pid_status(5)) with what it has
// to be. A line that is not there is as bad as a wrong one.
func check(status string, want identity) error {
	const base16 = 16
	caps := func(s string) bool {
		n, err := strconv.ParseUint(s, base16, 64)
		return err == nil && capSet(n) == want.caps
	}
	// Real, effective, saved and file system.
	four := func(id int) func(string) bool {
		return func(s string) bool {
			n, err := numbers(s)
			return err == nil && slices.Equal(n, []int{id, id, id, id})
		}
	}
	rules := []struct {
		field string
		ok    func(string) bool
	}{
		{"Uid", four(want.uid)},
		{"Gid", four(want.gid)},
		{"Groups", func(s string) bool {
			n, err := numbers(s)
			slices.Sort(n)
			return err == nil && slices.Equal(n, want.groups)
		}},
		{"CapInh", caps}, {"CapPrm", caps}, {"CapEff", caps}, {"CapBnd", caps}, {"CapAmb", caps},
		{"NoNewPrivs", func(s string) bool { return s == "1" }},
	}
	fields := make(map[string]string)
	for line := range strings.Lines(status) {
		if field, value, ok := strings.Cut(line, ":"); ok {
			fields[field] = strings.TrimSpace(value)
		}
	}
	for _, r := range rules {
		value, there := fields[r.field]
		if !there {
			return fmt.Errorf("status says nothing about %s", r.field)
		}
		if !r.ok(value) {
			return fmt.Errorf("%s is %q", r.field, value)
		}
	}
	return nil
}

func numbers(s string) (all []int, err error) {
	for f := range strings.FieldsSeq(s) {
		n, err := strconv.Atoi(f)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}
