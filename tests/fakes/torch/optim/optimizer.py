"""Optimizers, and hooks that are common to all of them."""

from torch.nn.modules.module import Handle

_global_optimizer_pre_hooks = {}
_global_optimizer_post_hooks = {}


def register_optimizer_step_pre_hook(hook):
    return Handle(_global_optimizer_pre_hooks, hook)


def register_optimizer_step_post_hook(hook):
    return Handle(_global_optimizer_post_hooks, hook)


class Optimizer:
    def __init__(self, params, lr=0.1):
        self.params = list(params)

    def zero_grad(self):
        pass

    def step(self, closure=None):
        for hook in list(_global_optimizer_pre_hooks.values()):
            hook(self, (closure,), {})
        result = closure() if closure is not None else None
        for hook in list(_global_optimizer_post_hooks.values()):
            hook(self, (closure,), {})
        return result
