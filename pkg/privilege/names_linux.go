package privilege

import (
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strconv"
)

// An identity is what every thread has to be.
type identity struct {
	uid, gid int
	groups   []int // sorted, each once
	caps     capSet
}

// lookUp finds the numbers of the names, and the supplementary groups that do
// not exist. Without cgo only /etc/passwd and /etc/group are asked.
func lookUp(o Options) (id identity, missing []string, err error) {
	for _, c := range o.Keep {
		if c > maxCap {
			return id, nil, &Error{Op: "keep capabilities", Err: fmt.Errorf("%v does not exist", c)}
		}
	}
	id.caps = setOf(o.Keep)
	if o.User == "" {
		return id, nil, &Error{Op: "look up user", Err: errors.New("none is named"), Hint: "Name the user to run as."}
	}
	u, err := user.Lookup(o.User)
	if err != nil {
		return id, nil, &Error{Op: "look up user " + o.User, Err: err, Hint: fmt.Sprintf(
			"Create it: useradd --system --user-group --no-create-home --shell /usr/sbin/nologin %s (or systemd-sysusers); users of LDAP or DynamicUser= are not seen.", o.User)}
	}
	if id.uid, err = strconv.Atoi(u.Uid); err != nil {
		return id, nil, &Error{Op: "look up user " + o.User, Err: err}
	}
	if id.uid == 0 {
		return id, nil, &Error{Op: "look up user " + o.User, Err: errors.New("it is root"), Hint: "Name an ordinary user."}
	}
	gid := u.Gid
	if o.Group != "" {
		g, err := user.LookupGroup(o.Group)
		if err != nil {
			return id, nil, &Error{Op: "look up group " + o.Group, Err: err,
				Hint: fmt.Sprintf("Create it: groupadd --system %s (or systemd-sysusers).", o.Group)}
		}
		gid = g.Gid
	}
	if id.gid, err = strconv.Atoi(gid); err != nil {
		return id, nil, &Error{Op: "look up group of " + o.User, Err: err}
	}
	for _, name := range o.Groups {
		g, err := user.LookupGroup(name)
		if _, unknown := errors.AsType[user.UnknownGroupError](err); unknown {
			missing = append(missing, name)
			continue
		}
		if err != nil {
			return id, nil, &Error{Op: "look up group " + name, Err: err}
		}
		n, err := strconv.Atoi(g.Gid)
		if err != nil {
			return id, nil, &Error{Op: "look up group " + name, Err: err}
		}
		id.groups = append(id.groups, n)
	}
	slices.Sort(id.groups)
	id.groups = slices.Compact(id.groups)
	return id, missing, nil
}
