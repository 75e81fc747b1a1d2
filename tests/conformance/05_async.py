import asyncio, contextvars, prepared
order = []
async def worker(name, n):
    for i in range(n):
        order.append((name, i))
        await asyncio.sleep(0)
    return name
async def main():
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(worker(name, n)) for name, n in (("a", 3), ("b", 1))]
    print(order, [task.result() for task in tasks])
    print(await asyncio.gather(worker("c", 1), worker("d", 2), return_exceptions=True))
    queue = asyncio.Queue(maxsize=1)
    async def produce():
        for i in range(3):
            await queue.put(i)
    task = asyncio.create_task(produce())
    print([await queue.get() for _ in range(3)], await task)
    event, lock = asyncio.Event(), asyncio.Lock()
    async with lock:
        async def setter():
            event.set()
        task = asyncio.create_task(setter())
        await event.wait()
        await task
    token = prepared.VARIABLE.set("inner")
    print(await asyncio.create_task(asyncio.sleep(0, prepared.VARIABLE.get())))
    prepared.VARIABLE.reset(token)
    task = asyncio.create_task(asyncio.Event().wait())
    await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        print("cancelled")
    async def numbers():
        for i in range(3):
            yield i
    print([i async for i in numbers()], prepared.VARIABLE.get())
await main()
coroutine = worker("e", 2)
try:
    while True:
        coroutine.send(None)
except StopIteration as stop:
    print(order[-2:], stop.value)
