"""Modules, and hooks that are common to all of them."""

_global_forward_pre_hooks = {}
_global_forward_hooks = {}


class Handle:
    """As torch.utils.hooks.RemovableHandle."""

    def __init__(self, hooks, hook):
        self.hooks = hooks
        hooks[id(self)] = hook

    def remove(self):
        self.hooks.pop(id(self), None)


def register_module_forward_pre_hook(hook):
    return Handle(_global_forward_pre_hooks, hook)


def register_module_forward_hook(hook):
    return Handle(_global_forward_hooks, hook)


class Module:
    def __init__(self):
        self.__dict__["_modules"] = {}

    def __setattr__(self, name, value):
        if isinstance(value, Module):
            self._modules[name] = value
        object.__setattr__(self, name, value)

    def __call__(self, *args):
        for hook in list(_global_forward_pre_hooks.values()):
            result = hook(self, args)
            args = args if result is None else result
        output = self.forward(*args)
        for hook in list(_global_forward_hooks.values()):
            result = hook(self, args, output)
            output = output if result is None else result
        return output

    def named_modules(self, prefix=""):
        yield prefix, self
        for name, module in self._modules.items():
            yield from module.named_modules(f"{prefix}.{name}" if prefix else name)

    def parameters(self):
        return [self]
